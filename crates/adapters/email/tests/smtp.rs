//! `SmtpTransport` against a minimal SMTP server (RFC 5321).

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

use portico_email::SmtpTransport;
use portico_kernel::mail::{MailError, MailMessage, MailTransport};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// The result of one session: the envelope commands and the message.
#[derive(Debug)]
struct Delivery {
    commands: Vec<String>,
    message: String,
}

/// A mail server on a free port that answers `RCPT TO` with `recipient_answer`. Returns its URL and the deliveries.
async fn server(recipient_answer: &'static str) -> (String, mpsc::UnboundedReceiver<Delivery>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(session(stream, recipient_answer, sender.clone()));
        }
    });
    (url, receiver)
}

async fn session(
    stream: TcpStream,
    recipient_answer: &'static str,
    deliveries: mpsc::UnboundedSender<Delivery>,
) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut commands = Vec::new();
    write.write_all(b"220 test ESMTP\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let answer = match line.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => "250-test\r\n250 8BITMIME",
            "RCPT" => recipient_answer,
            "DATA" => "354 go on",
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        write.write_all(format!("{answer}\r\n").as_bytes()).await?;
        if line == "DATA" {
            let mut message = String::new();
            while let Some(line) = lines.next_line().await? {
                if line == "." {
                    break;
                }
                message.push_str(&line);
                message.push('\n');
            }
            write.write_all(b"250 taken\r\n").await?;
            let _ = deliveries.send(Delivery { commands: std::mem::take(&mut commands), message });
        } else {
            commands.push(line);
        }
    }
    Ok(())
}

fn message() -> MailMessage {
    MailMessage {
        id: "0190a5b0-c0d0-8e00-8f00-112233445566".parse().unwrap(),
        to: "ada@example.com".into(),
        to_name: Some("Ada Lovelace".into()),
        reply_to: Some("visitor@example.org".into()),
        subject: "Contraseña nueva".into(),
        html: "<p>the html part</p>".into(),
        text: "the text part".into(),
    }
}

fn transport(url: &str) -> SmtpTransport {
    SmtpTransport::new(url, "Acme Portal <no-reply@example.com>").unwrap()
}

#[tokio::test]
async fn both_parts_arrive_at_the_receiver() {
    let (url, mut deliveries) = server("250 ok").await;
    transport(&url).send(&message()).await.unwrap();
    let delivery = deliveries.recv().await.unwrap();
    assert!(
        delivery.commands.iter().any(|c| c.starts_with("MAIL FROM:<no-reply@example.com>")),
        "{delivery:?}"
    );
    assert!(delivery.commands.contains(&"RCPT TO:<ada@example.com>".to_owned()), "{delivery:?}");
    let text = delivery.message.find("the text part").unwrap();
    let html = delivery.message.find("<p>the html part</p>").unwrap();
    assert!(text < html, "the richest alternative comes last (RFC 2046 section 5.1.4)");
    for header in [
        "From: \"Acme Portal\" <no-reply@example.com>",
        "To: \"Ada Lovelace\" <ada@example.com>",
        "Reply-To: visitor@example.org",
        "Subject: =?utf-8?b?",
        "Message-ID: <",
        "Date: ",
        "Auto-Submitted: auto-generated",
        "Content-Type: multipart/alternative",
    ] {
        assert!(delivery.message.contains(header), "{header}: {}", delivery.message);
    }
}

#[tokio::test]
async fn a_header_cannot_be_smuggled_in() {
    let (url, mut deliveries) = server("250 ok").await;
    let crafted = MailMessage {
        subject: "Hello\r\nBcc: eve@example.com".into(),
        to_name: Some("Ada\r\nBcc: eve@example.com".into()),
        ..message()
    };
    let replies =
        ["eve@example.com\r\nBcc: eve@example.com", "a@b.example, eve@example.com", "<a@b.example>\r\n", ""];
    for reply_to in replies.map(str::to_owned) {
        let crafted = MailMessage { reply_to: Some(reply_to), ..crafted.clone() };
        transport(&url).send(&crafted).await.unwrap();
        let delivery = deliveries.recv().await.unwrap();
        let smuggled = |line: &str| line.starts_with("Bcc:") || line.starts_with("Reply-To:");
        assert!(!delivery.message.lines().any(smuggled), "{}", delivery.message);
    }
}

#[tokio::test]
async fn a_permanent_refusal_is_final() {
    let (url, _deliveries) = server("550 5.1.1 no such mailbox").await;
    let result = transport(&url).send(&message()).await;
    assert!(matches!(result, Err(MailError::Rejected(_))), "{result:?}");
}

#[tokio::test]
async fn a_temporary_refusal_and_a_refused_sign_in_are_tried_again() {
    for answer in ["451 4.3.0 try later", "530 5.7.0 authentication required"] {
        let (url, _deliveries) = server(answer).await;
        let result = transport(&url).send(&message()).await;
        assert!(matches!(result, Err(MailError::Unavailable(_))), "{answer}: {result:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    drop(listener);
    let result = transport(&url).send(&message()).await;
    assert!(matches!(result, Err(MailError::Unavailable(_))), "{result:?}");
}

#[tokio::test]
async fn an_address_that_cannot_be_written_to_is_final() {
    let (url, _deliveries) = server("250 ok").await;
    let result = transport(&url).send(&MailMessage { to: "nobody".into(), ..message() }).await;
    assert!(matches!(result, Err(MailError::Rejected(_))), "{result:?}");
}

#[tokio::test]
async fn wrong_settings_are_told_at_the_start() {
    assert!(SmtpTransport::new("http://example.com", "a@example.com").is_err());
    assert!(SmtpTransport::new("smtp://example.com", "not an address").is_err());
}

fn message_id(delivery: &Delivery) -> String {
    let line = delivery.message.lines().find(|line| line.starts_with("Message-ID: "));
    line.unwrap_or_else(|| panic!("{}", delivery.message)).to_owned()
}

#[tokio::test]
async fn a_message_sent_again_has_the_same_message_id() {
    let (url, mut deliveries) = server("250 ok").await;
    let transport = transport(&url);
    let other = MailMessage { id: "0190a5b0-c0d0-8e00-8f00-665544332211".parse().unwrap(), ..message() };
    for message in [message(), message(), other] {
        transport.send(&message).await.unwrap();
    }
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(message_id(&deliveries.recv().await.unwrap()));
    }
    assert_eq!(ids[0], "Message-ID: <0190a5b0-c0d0-8e00-8f00-112233445566@example.com>");
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
}
