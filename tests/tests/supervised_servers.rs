//! Servers that no library can be preloaded into, which rauthbind supervises with no option.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::chown;
use std::time::Duration;

use rauthbind_tests::proof::{alices_holders, get};
use rauthbind_tests::{Signal, World, holders, wait_until, world_test};

const CADDYFILE: &str = "\
{
    admin off
    skip_install_trust
    auto_https disable_redirects
    storage file_system /run/home/alice/caddy
}
http://localhost {
    root * /run/home/alice/site
    file_server
}
https://localhost {
    tls internal
    root * /run/home/alice/site
    file_server
}
";

const CADDY: [&str; 7] =
    ["rauthbind", "caddy", "run", "--config", "/run/home/alice/Caddyfile", "--adapter", "caddyfile"];

/// Makes caddy's configuration, and the page that it serves.
fn furnish(world: &World) {
    let alice = world.user("alice");
    let site = alice.home.join("site");
    fs::create_dir(&site).unwrap();
    fs::write(site.join("index.html"), "alice's page\n").unwrap();
    fs::write(alice.home.join("Caddyfile"), CADDYFILE).unwrap();
    for path in [&site, &alice.home.join("Caddyfile"), &site.join("index.html")] {
        chown(path, Some(alice.uid.as_raw()), Some(alice.gid.as_raw())).unwrap();
    }
}

/// Sees that port 443 speaks QUIC: to a version that there is not, it answers with those that it knows (RFC 9000, 6).
fn speaks_quic() {
    const OURS: [u8; 8] = *b"our name";
    const LONG_HEADER: u8 = 0b1100_0000;
    let mut packet = vec![LONG_HEADER, 0x1a, 0x2a, 0x3a, 0x4a, 8];
    packet.extend(b"its name");
    packet.push(8);
    packet.extend(OURS);
    // Shorter ones are not answered.
    packet.resize(1200, 0);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect("127.0.0.1:443").unwrap();
    client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut answer = [0; 1500];
    wait_until("a QUIC server", || client.send(&packet).is_ok() && client.recv(&mut answer).is_ok());
    // A long header, version 0, and whom it is for.
    assert_eq!((answer[0] & 0x80, &answer[1..6], &answer[6..14]), (0x80, &[0, 0, 0, 0, 8][..], &OURS[..]));
}

world_test! {
    /// caddy, which is Go: HTTP on port 80, HTTPS over TCP and HTTP/3 over UDP on 443.
    fn caddy_serves_http_https_and_http3(world) {
        furnish(world);
        world.grant("byport/80", "alice");
        world.grant("byport/443", "alice");
        let server = world.command("alice", CADDY).start();
        assert!(get("127.0.0.1", 80).ends_with("alice's page\n"));
        let _ = alices_holders("tcp", 80);
        let _ = alices_holders("tcp", 443);
        let _ = alices_holders("udp", 443);
        let https = "import ssl, urllib.request as u\n\
                     print(u.urlopen('https://localhost/', context=ssl._create_unverified_context()).read().decode())";
        wait_until("the certificate", || world.command("bob", ["python3", "-c", https]).run().status.success());
        speaks_quic();
        server.kill(Signal::SIGTERM);
        assert_eq!(server.wait().status.code(), Some(0));
        wait_until("the end of the server", || holders("tcp", 80).is_empty() && holders("udp", 443).is_empty());
    }
}

world_test! {
    /// What is not granted it is refused, as without rauthbind, and says so.
    fn caddy_is_refused_what_is_not_granted(world) {
        furnish(world);
        world.grant("byport/80", "alice");
        let done = world.command("alice", CADDY).run();
        assert_eq!(done.status.code(), Some(1));
        assert!(done.stderr.contains(":443: bind: permission denied"), "{}", done.stderr);
        assert!(holders("tcp", 80).is_empty());
    }
}
