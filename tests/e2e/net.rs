//! Network namespaces: proxies that are cut off from something by packets that go nowhere, as where a
//! switch or a security group fails. A process fault closes connections or refuses them; this does not.
//!
//! A bridge joins the namespaces with this machine, which has several addresses there: one for each thing
//! that a proxy can be cut off from. Needs root. Made and removed by the test, under names that hold its
//! process id.

use std::process::Command;

/// A bridge, and what was made on it.
pub struct Net {
    bridge: String,
    /// The third number of all its addresses, `198.18.n.x`: of the range that is set aside for tests of
    /// networks.
    subnet: u8,
    namespaces: Vec<String>,
}

/// One proxy's network.
#[derive(Clone, Debug)]
pub struct Namespace {
    /// For `ip netns exec`.
    pub name: String,
    /// Its address.
    pub host: String,
}

/// This machine's own addresses: what a proxy can be cut off from. Viewers come from the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Viewers,
    Store,
    Packager(u8),
}

impl Side {
    const fn number(self) -> u8 {
        match self {
            Self::Viewers => 1,
            Self::Store => 2,
            Self::Packager(n) => 3 + n,
        }
    }
}

/// Namespaces have the addresses from here on.
const FIRST_NAMESPACE: u8 = 101;
/// Nobody has this address: what is sent there is lost.
const NOWHERE: &str = "02:00:00:00:00:01";
const PREFIX: &str = "segue-e2e-";

impl Net {
    /// A bridge with an address for viewers, the store and `packagers` packagers.
    pub fn make(packagers: u8) -> Self {
        remove_what_ended_tests_left();
        let (bridge, subnet) = (format!("sgb{}", std::process::id()), free_subnet());
        ip(&["link", "add", &bridge, "type", "bridge"]);
        let net = Self { bridge, subnet, namespaces: Vec::new() };
        let sides = [Side::Viewers, Side::Store].into_iter();
        for side in sides.chain((0..packagers).map(Side::Packager)) {
            ip(&["addr", "add", &format!("{}/24", net.host(side)), "dev", &net.bridge]);
        }
        ip(&["link", "set", &net.bridge, "up"]);
        net
    }

    /// This machine's address for that.
    pub fn host(&self, side: Side) -> String {
        format!("198.18.{}.{}", self.subnet, side.number())
    }

    /// One more namespace.
    pub fn namespace(&mut self) -> Namespace {
        let number = u8::try_from(self.namespaces.len()).unwrap();
        let id = std::process::id();
        let name = format!("{PREFIX}{id}-{number}");
        let (outer, inner) = (format!("sgv{id}-{number}"), "eth0");
        let host = format!("198.18.{}.{}", self.subnet, FIRST_NAMESPACE + number);
        ip(&["netns", "add", &name]);
        self.namespaces.push(name.clone());
        let peer = ["peer", "name", inner, "netns", &name];
        ip(&[&["link", "add", &outer, "type", "veth"], &peer[..]].concat());
        ip(&["link", "set", &outer, "master", &self.bridge, "up"]);
        ip(&["-n", &name, "addr", "add", &format!("{host}/24"), "dev", inner]);
        ip(&["-n", &name, "link", "set", inner, "up"]);
        ip(&["-n", &name, "link", "set", "lo", "up"]);
        // What is for this namespace is looked up first of all rules: after those that drop it.
        ip(&["-n", &name, "rule", "add", "pref", "100", "lookup", "local"]);
        ip(&["-n", &name, "rule", "del", "pref", "0"]);
        Namespace { name, host }
    }
}

impl Namespace {
    /// From now on no packet passes between it and `host`, either way, and nobody is told.
    pub fn cut_from(&self, host: &str) {
        let neigh = ["-n", &self.name, "neigh", "replace", host, "lladdr", NOWHERE, "dev", "eth0"];
        ip(&[&neigh[..], &["nud", "permanent"]].concat());
        ip(&["-n", &self.name, "rule", "add", "pref", "10", "from", host, "blackhole"]);
    }

    /// Takes back [`Namespace::cut_from`].
    pub fn join_to(&self, host: &str) {
        ip(&["-n", &self.name, "rule", "del", "pref", "10", "from", host, "blackhole"]);
        ip(&["-n", &self.name, "neigh", "del", host, "dev", "eth0"]);
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in &self.namespaces {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
        let _ = Command::new("ip").args(["link", "del", &self.bridge]).status();
    }
}

/// Runs `ip`, which must do it.
fn ip(args: &[&str]) -> String {
    let told = Command::new("ip").args(args).output().expect("ip, of iproute2");
    let error = String::from_utf8_lossy(&told.stderr);
    assert!(
        told.status.success(),
        "ip {}: {error}(tests with network namespaces run as root, on a kernel with veth and bridges)",
        args.join(" ")
    );
    String::from_utf8_lossy(&told.stdout).into_owned()
}

fn free_subnet() -> u8 {
    let taken = ip(&["-o", "-4", "addr"]);
    let begin = std::process::id() % 256;
    let mut numbers = (0..256).map(|n| ((begin + n) % 256) as u8);
    let free = numbers.find(|n| !taken.contains(&format!(" 198.18.{n}.")));
    free.expect("a subnet of 198.18.0.0/16 that is free")
}

/// A test that was killed cannot remove anything.
fn remove_what_ended_tests_left() {
    let alive = |pid: &str| std::path::Path::new("/proc").join(pid).exists();
    for line in ip(&["netns", "list"]).lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| !alive(pid)) {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
    for line in ip(&["-o", "link", "show", "type", "bridge"]).lines() {
        let name = line.split(": ").nth(1).unwrap_or_default();
        if name.strip_prefix("sgb").is_some_and(|pid| !alive(pid)) {
            let _ = Command::new("ip").args(["link", "del", name]).status();
        }
    }
}

/// Packets that are dropped are neither refused nor answered, and pass again afterwards.
#[test]
fn a_namespace_is_cut_off_and_joined_again() {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    let _alone = crate::scenarios::alone();
    let mut net = Net::make(2);
    let (inside, store) = (net.namespace(), net.host(Side::Store));
    let other = net.host(Side::Packager(0));
    let listening = [&store, &other].map(|host| TcpListener::bind((host.as_str(), 0)).unwrap());
    let ask = |listener: &TcpListener| {
        let to = listener.local_addr().unwrap();
        let script = format!("exec 3<>/dev/tcp/{}/{} && cat <&3", to.ip(), to.port());
        let mut bash = Command::new("ip");
        bash.args(["netns", "exec", &inside.name, "timeout", "1", "bash", "-c", &script]);
        bash.output().unwrap()
    };
    let greet = |listener: TcpListener| {
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.write_all(b"here");
            }
        })
    };
    let kept = [listening[0].try_clone().unwrap(), listening[1].try_clone().unwrap()];
    listening.into_iter().for_each(|l| drop(greet(l)));
    assert_eq!(ask(&kept[0]).stdout, b"here");
    inside.cut_from(&store);
    let told = ask(&kept[0]);
    assert_eq!(told.status.code(), Some(124), "it waits: {told:?}");
    assert_eq!(ask(&kept[1]).stdout, b"here", "another address of this machine");
    inside.join_to(&store);
    assert_eq!(ask(&kept[0]).stdout, b"here");
    // Nothing listens inside: refused at once, which shows that packets come and go.
    let refused = TcpStream::connect((inside.host.as_str(), 9)).map(|mut s| s.read(&mut [0]));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    inside.cut_from(&net.host(Side::Viewers));
    let inside_host = format!("{}:9", inside.host).parse().unwrap();
    let silent = TcpStream::connect_timeout(&inside_host, Duration::from_millis(500));
    assert_eq!(silent.unwrap_err().kind(), ErrorKind::TimedOut);
}
