use std::time::Instant;
#[tokio::test]
async fn t() {
    for _ in 0..4 {
        let s = Instant::now(); let d = portico_testkit::TestDatabase::sqlite().await; eprintln!("sqlite new {:?}", s.elapsed());
        let s = Instant::now(); drop(d); eprintln!("sqlite drop {:?}", s.elapsed());
        let s = Instant::now(); let d = portico_testkit::TestDatabase::postgres().await; eprintln!("pg new {:?}", s.elapsed());
        let s = Instant::now(); drop(d); eprintln!("pg drop {:?}", s.elapsed());
    }
}
