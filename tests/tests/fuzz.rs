//! Every fuzz target, over its corpus and over mutations of it. `cargo xtask fuzz` goes on from there.

use rauthbind_fuzz::{bounded, byuid, channel, elf, helper, reply, request, sockaddr};
use rauthbind_tests::world_test;

#[test]
fn requests_are_read_as_they_are_written() {
    bounded::run("request", request::check, 100_000);
}

#[test]
fn replies_are_read_as_they_are_written() {
    bounded::run("reply", reply::check, 100_000);
}

#[test]
fn the_channel_is_read_as_it_is_written() {
    bounded::run("channel", channel::check, 100_000);
}

#[test]
fn byuid_files_grant_what_the_model_grants() {
    bounded::run("byuid", byuid::check, 100_000);
}

#[test]
fn programs_are_what_they_were_made_to_be() {
    bounded::run("elf", elf::check, 20_000);
}

world_test! {
    /// An address is understood as the kernel understands it.
    fn addresses_are_the_kernels(_world) {
        bounded::run("sockaddr", sockaddr::check, 20_000);
    }
}

world_test! {
    /// Whatever is sent, nothing is bound that no rule grants.
    fn the_helper_binds_what_is_granted_alone(_world) {
        bounded::run("helper", helper::check, 5_000);
    }
}
