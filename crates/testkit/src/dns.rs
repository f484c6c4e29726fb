//! A name server with records that a test sets.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use hickory_resolver::proto::{
    op::{Message, MessageType, OpCode, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, TXT},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

/// The most bytes of an answer in one packet: what every resolver takes (RFC 1035 section 2.3.4).
const PACKET: usize = 512;

/// The most aliases that are followed.
const LONGEST_CHAIN: usize = 8;

/// The most bytes of one part of a text record.
const TEXT_PART: usize = 255;

/// What the server says about a name.
#[derive(Clone, Debug, Default)]
struct Entry {
    records: Vec<RData>,
    /// Addresses that are returned one after the other, and the last one again and again.
    sequence: VecDeque<RData>,
    conduct: Conduct,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Conduct {
    #[default]
    Answers,
    Silent,
    Fails,
}

type Zone = Arc<Mutex<BTreeMap<String, Entry>>>;

/// A recursive name server of a test's own, over UDP and TCP at one port of this machine. It knows the names that were
/// set, and answers NXDOMAIN for all others. Dropped, it stops.
pub struct TestDns {
    address: SocketAddr,
    zone: Zone,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl TestDns {
    /// Starts one at any free port.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts one at an address.
    pub async fn start_at(address: SocketAddr) -> Self {
        // A port that is free for one protocol may be taken for the other one.
        for _ in 0..20 {
            let udp = UdpSocket::bind(address).await.expect("a free port");
            let address = udp.local_addr().expect("an address");
            if let Ok(tcp) = TcpListener::bind(address).await {
                let zone = Zone::default();
                let tasks =
                    vec![tokio::spawn(packets(udp, zone.clone())), tokio::spawn(streams(tcp, zone.clone()))];
                return Self { address, zone, tasks };
            }
        }
        panic!("no port is free for UDP and TCP");
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The text records of a name from now on.
    pub fn txt(&self, name: &str, texts: &[&str]) {
        let record = |text: &&str| {
            let parts: Vec<&[u8]> = text.as_bytes().chunks(TEXT_PART).collect();
            RData::TXT(TXT::from_bytes(parts))
        };
        self.put(name, RecordType::TXT, texts.iter().map(record).collect());
    }

    /// The address of a name from now on.
    pub fn a(&self, name: &str, address: &str) {
        self.put(name, RecordType::A, vec![RData::A(A(address.parse().expect("an address")))]);
    }

    /// The IPv6 address of a name from now on.
    pub fn aaaa(&self, name: &str, address: &str) {
        self.put(name, RecordType::AAAA, vec![RData::AAAA(AAAA(address.parse().expect("an address")))]);
    }

    /// A name that resolves differently at every question (DNS rebinding): the answers, one after the other, the last one again and
    /// again. Their TTL is 0.
    pub fn rebinding(&self, name: &str, addresses: &[&str]) {
        let address = |text: &&str| RData::A(A(text.parse().expect("an address")));
        let entry = Entry { sequence: addresses.iter().map(address).collect(), ..Entry::default() };
        self.zone().insert(name.to_ascii_lowercase(), entry);
    }

    /// Makes a name an alias, and nothing else.
    pub fn cname(&self, name: &str, target: &str) {
        let target = Name::from_ascii(format!("{target}.")).expect("a name");
        let entry = Entry { records: vec![RData::CNAME(CNAME(target))], ..Entry::default() };
        self.zone().insert(name.to_ascii_lowercase(), entry);
    }

    /// Does not answer questions about a name from now on.
    pub fn silence(&self, name: &str) {
        self.conduct(name, Conduct::Silent);
    }

    /// Fails at questions about a name from now on (SERVFAIL).
    pub fn fail(&self, name: &str) {
        self.conduct(name, Conduct::Fails);
    }

    /// Forgets a name.
    pub fn clear(&self, name: &str) {
        self.zone().remove(&name.to_ascii_lowercase());
    }

    fn conduct(&self, name: &str, conduct: Conduct) {
        self.zone().entry(name.to_ascii_lowercase()).or_default().conduct = conduct;
    }

    fn put(&self, name: &str, kind: RecordType, records: Vec<RData>) {
        let mut zone = self.zone();
        let entry = zone.entry(name.to_ascii_lowercase()).or_default();
        entry.conduct = Conduct::Answers;
        entry.records.retain(|record| record.record_type() != kind);
        entry.records.extend(records);
    }

    fn zone(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Entry>> {
        self.zone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TestDns {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

async fn packets(socket: UdpSocket, zone: Zone) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let Some(answer) = answer(&buffer[..length], &zone) else { continue };
        let bytes = match answer.to_vec() {
            Ok(bytes) if bytes.len() > PACKET => answer.truncate().to_vec(),
            bytes => bytes,
        };
        if let Ok(bytes) = bytes {
            let _ = socket.send_to(&bytes, from).await;
        }
    }
}

async fn streams(listener: TcpListener, zone: Zone) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let zone = zone.clone();
        tokio::spawn(async move {
            // RFC 1035 section 4.2.2: two bytes of length before each message.
            while let Ok(length) = stream.read_u16().await {
                let mut question = vec![0; usize::from(length)];
                if stream.read_exact(&mut question).await.is_err() {
                    return;
                }
                let Some(Ok(bytes)) = answer(&question, &zone).map(|answer| answer.to_vec()) else { return };
                let Ok(length) = u16::try_from(bytes.len()) else { return };
                if stream.write_u16(length).await.is_err() || stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// The answer to a question; `None` for silence.
fn answer(question: &[u8], zone: &Zone) -> Option<Message> {
    let question = Message::from_vec(question).ok()?;
    let query = question.queries.first()?.clone();
    let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.add_query(query.clone());
    let mut zone = zone.lock().unwrap_or_else(PoisonError::into_inner);
    let mut name = query.name().clone();
    for _ in 0..LONGEST_CHAIN {
        let key = name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
        let Some(entry) = zone.get_mut(&key) else {
            answer.metadata.response_code = ResponseCode::NXDomain;
            break;
        };
        match entry.conduct {
            Conduct::Answers => {}
            Conduct::Silent => return None,
            Conduct::Fails => {
                answer.metadata.response_code = ResponseCode::ServFail;
                return Some(answer);
            }
        }
        if query.query_type() == RecordType::A
            && let Some(address) = entry.sequence.pop_front()
        {
            if entry.sequence.is_empty() {
                entry.sequence.push_back(address.clone());
            }
            answer.add_answer(Record::from_rdata(name, 0, address));
            break;
        }
        let wanted = |record: &&RData| record.record_type() == query.query_type();
        let matching: Vec<RData> = entry.records.iter().filter(wanted).cloned().collect();
        let found = !matching.is_empty();
        for record in matching {
            answer.add_answer(Record::from_rdata(name.clone(), 60, record));
        }
        let alias = entry.records.iter().find_map(|record| match record {
            RData::CNAME(alias) if !found => Some(alias.clone()),
            _ => None,
        });
        let Some(alias) = alias else { break };
        let next = alias.0.clone();
        answer.add_answer(Record::from_rdata(name, 60, RData::CNAME(alias)));
        name = next;
    }
    Some(answer)
}
