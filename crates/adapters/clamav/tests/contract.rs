//! The client against a daemon that speaks the protocol.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use portico_clamav::ClamAv;
use portico_kernel::malware::{MalwareScanner, Verdict};
use portico_testkit::clamd::{Clamd, EICAR};
use tokio::{io::AsyncWriteExt, net::TcpListener};

async fn scanned(scanner: &ClamAv, pieces: &[&[u8]]) -> Verdict {
    let mut scan = scanner.begin().await.unwrap();
    for piece in pieces {
        scan.write(piece).await.unwrap();
    }
    scan.finish().await.unwrap()
}

#[tokio::test]
async fn what_is_found_is_named_however_it_is_cut() {
    let daemon = Clamd::start(10 << 20).await;
    let scanner = ClamAv::at(&daemon.address);
    scanner.ping().await.unwrap();
    let harmless = vec![7; 300_000];
    assert_eq!(scanned(&scanner, &[&harmless, b"", &harmless]).await, Verdict::Clean);
    assert_eq!(scanned(&scanner, &[]).await, Verdict::Clean);
    let (head, tail) = EICAR.split_at(20);
    let found = scanned(&scanner, &[&harmless, head, tail, &harmless]).await;
    assert_eq!(found, Verdict::Infected("Eicar-Test-Signature".to_owned()));
}

#[tokio::test]
async fn what_exceeds_the_limit_of_the_daemon_is_too_large_and_not_clean() {
    let daemon = Clamd::start(1 << 20).await;
    let scanner = ClamAv::at(&daemon.address);
    let piece = vec![7; 256 * 1024];
    let pieces = vec![piece.as_slice(); 64];
    assert_eq!(scanned(&scanner, &pieces).await, Verdict::TooLarge);
    assert_eq!(scanned(&scanner, &pieces[..4]).await, Verdict::Clean, "exactly as much as it takes");
}

#[tokio::test]
async fn a_daemon_that_is_gone_or_says_something_else_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scanner = ClamAv::at(listener.local_addr().unwrap().to_string());
    let odd = tokio::spawn(async move {
        for answer in [b"PANG\0".as_slice(), b""] {
            let (mut connection, _) = listener.accept().await.unwrap();
            connection.write_all(answer).await.unwrap();
        }
    });
    for _ in 0..2 {
        assert!(scanner.ping().await.is_err());
    }
    odd.await.unwrap();
    assert!(scanner.begin().await.is_err(), "nobody listens");
}

#[tokio::test]
async fn two_files_are_scanned_at_a_time_and_the_third_has_to_come_again() {
    let daemon = Clamd::start(1 << 20).await;
    let scanner = ClamAv::at(&daemon.address);
    let one = scanner.begin().await.unwrap();
    let _other = scanner.clone().begin().await.unwrap();
    assert!(scanner.begin().await.is_err());
    drop(one);
    assert_eq!(scanned(&scanner, &[b"harmless".as_slice()]).await, Verdict::Clean);
    assert_eq!(scanned(&scanner, &[b"harmless".as_slice()]).await, Verdict::Clean, "it has ended");
}
