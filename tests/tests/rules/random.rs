//! Rules made at random.

#![allow(dead_code, reason = "each file of tests uses a part")]

use std::fs;

use rauthbind_tests::World;
use rauthbind_wire::names::RULES;

use super::numbers::Numbers;

/// Makes some rules, whatever comes.
pub(crate) fn make_rules(world: &World, numbers: &mut Numbers) {
    for directory in ["byport", "byaddr", "byuid"] {
        for rule in fs::read_dir(format!("{RULES}/{directory}")).unwrap() {
            fs::remove_file(rule.unwrap().path()).unwrap();
        }
    }
    for _ in 0..2 + numbers.below(6) {
        let port = numbers.one_of(&["80", "600", "!600"]);
        let (bang, number) = port.strip_prefix('!').map_or(("", port), |number| ("!", number));
        let address = numbers.one_of(&["0.0.0.0", "::", "127.0.0.1", "::1"]);
        let protocol = numbers.one_of(&["", "", ",tcp", ",udp"]);
        match numbers.below(4) {
            0 => {
                let lines = ["0.0.0.0/0", "::/0", "127.0.0.1", "::1"].map(|from| format!("{from},{number}\n"));
                let uid = numbers.one_of(&["4001", "4002", "4003"]);
                world.byuid(&format!("{bang}{uid}"), &lines[numbers.below(4)..].concat());
            }
            kind => {
                let name = if kind == 1 {
                    format!("byport/{port}{protocol}")
                } else {
                    format!("byaddr/{bang}{address},{number}{protocol}")
                };
                let group = numbers.one_of(&["alice", "bob", "web", "root"]);
                world.rule(
                    &name,
                    numbers.one_of(&["root", "root", "alice"]),
                    group,
                    numbers.one_of(&[0o710, 0o710, 0o701, 0o600]),
                );
            }
        }
    }
}
