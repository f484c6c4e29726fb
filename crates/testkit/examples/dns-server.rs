//! A name server that reads its records from standard input, for scripts that need one. Prints its address first.
//!
//! ```text
//! txt _portico-challenge.www.example.com portico-verify=…
//! a www.example.com 192.0.2.1
//! cname www.example.com edge.example.com
//! clear www.example.com
//! ```
#![expect(clippy::print_stdout, reason = "the output of a command")]

use portico_testkit::dns::TestDns;

#[tokio::main]
async fn main() {
    let dns = TestDns::start().await;
    println!("{}", dns.address());
    // Ends with the process that started it.
    let lines = std::io::stdin().lines();
    for line in lines.map_while(Result::ok) {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        match words.as_slice() {
            ["txt", name, text] => dns.txt(name, &[text]),
            ["a", name, address] => dns.a(name, address),
            ["cname", name, target] => dns.cname(name, target),
            ["clear", name] => dns.clear(name),
            _ => eprintln!("dns-server: not understood: {line}"),
        }
        println!("ok");
    }
}
