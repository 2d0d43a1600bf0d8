//! Servers that are run with other preloaded libraries: each does what it is for, and so does ours, whichever comes first.
//! And servers that are run without ours, because someone has taken it away.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test stops at the first surprise")]

use rauthbind_tests::proof::{alices_holders, answering_process, get, says_denied};
use rauthbind_tests::{Finished, Running, Signal, Stranger, World, holders, world_test};
use rauthbind_wire::names::SHIM;

/// A server that serves.
struct Served<'a> {
    running: &'a Running,
    /// The process that holds the port, which is alice's.
    process: Stranger,
    answer: String,
}

/// A command of words, with a port in the place of each `PORT`.
fn on_port(words: &[&str], port: &str) -> Vec<String> {
    words.iter().map(|word| word.replace("PORT", port)).collect()
}

/// Sees that a command of alice's, on this port, is refused.
#[track_caller]
fn is_refused(world: &World, words: &[&str], port: &str) -> Finished {
    let done = world.command("alice", on_port(words, port)).run();
    says_denied(&done);
    assert_eq!(holders("tcp", port.parse().unwrap()), []);
    done
}

/// Sees that a command of alice's serves on port 80, and that all is as it should be then; and that it is refused on a
/// port that nobody is granted, and without rauthbind.
#[track_caller]
fn serves(world: &World, words: &[&str], as_it_should: impl FnOnce(&Served<'_>)) {
    let running = world.command("alice", on_port(words, "80")).start();
    running.wait_listening(80);
    let holders = alices_holders("tcp", 80);
    assert_eq!(holders.len(), 1, "{words:?}");
    let served =
        Served { running: &running, process: Stranger::of(*holders.first().unwrap()), answer: get("127.0.0.1", 80) };
    as_it_should(&served);
    served.process.kill(Signal::SIGTERM);
    served.process.wait();
    running.exited();
    is_refused(world, words, "99");
    let alone: Vec<_> = words.iter().copied().filter(|word| *word != "rauthbind").collect();
    is_refused(world, &alone, "80");
}

/// The ways to preload a library into a server under rauthbind: into rauthbind, which keeps it; or by a script, before
/// what is there and after.
fn with_library(library: &str, server: &[&str]) -> [Vec<String>; 3] {
    let outside = format!("LD_PRELOAD={library}");
    let before = format!("export LD_PRELOAD='{library}':\"$LD_PRELOAD\"; exec \"$@\"");
    let after = format!("export LD_PRELOAD=\"$LD_PRELOAD\":'{library}'; exec \"$@\"");
    [
        &["env", &outside, "rauthbind"][..],
        &["rauthbind", "sh", "-c", &before, "sh"],
        &["rauthbind", "sh", "-c", &after, "sh"],
    ]
    .map(|words| words.iter().chain(server).map(|word| (*word).to_owned()).collect())
}

/// The words of a command, to be passed on.
fn borrowed(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

const WEB_SERVER: [&str; 4] = ["python3", "-m", "http.server", "PORT"];

world_test! {
    /// Under faketime a server tells another date, be faketime outside of rauthbind or inside.
    fn faketime_works_outside_and_inside(world) {
        world.grant("byport/80", "alice");
        let faketime = ["faketime", "2001-02-15 12:00:00"];
        for words in [[&faketime[..], &["rauthbind"]].concat(), [&["rauthbind"], &faketime[..]].concat()] {
            serves(world, &[&words, &WEB_SERVER[..]].concat(), |served| {
                assert!(served.answer.contains(" Feb 2001 "), "{}", served.answer);
            });
        }
    }
}

world_test! {
    /// So does a server with faketime's library preloaded.
    fn libfaketime_works_before_and_after_ours(world) {
        world.grant("byport/80", "alice");
        let server = [&["env", "FAKETIME=@2001-02-15 12:00:00"], &WEB_SERVER[..]].concat();
        // For the loader, which knows what $LIB is on this machine (ld.so(8)).
        for words in with_library("/usr/$LIB/faketime/libfaketime.so.1", &server) {
            serves(world, &borrowed(&words), |served| {
                assert!(served.answer.contains(" Feb 2001 "), "{}", served.answer);
            });
        }
    }
}

world_test! {
    /// A server has jemalloc's allocator.
    fn libjemalloc_works_before_and_after_ours(world) {
        world.grant("byport/80", "alice");
        for words in with_library("libjemalloc.so.2", &WEB_SERVER) {
            serves(world, &borrowed(&words), |served| {
                let maps = served.process.file("maps");
                assert!(maps.contains("/libjemalloc.so.2") && maps.contains(SHIM), "{maps}");
            });
        }
    }
}

world_test! {
    /// Under fakeroot a server takes itself for root, be fakeroot outside of rauthbind or inside; it is alice's.
    fn fakeroot_works_outside_and_inside(world) {
        world.grant("byport/80", "alice");
        let server = world.script("answers", include_str!("real_programs/answers.pl"));
        let server = server.to_str().unwrap();
        for words in [["fakeroot", "rauthbind", server, "PORT"], ["rauthbind", "fakeroot", server, "PORT"]] {
            serves(world, &words, |served| {
                let line = format!("pid {} uid 0", served.process.pid);
                assert!(served.answer.contains(&line), "{} for {line}", served.answer);
            });
        }
    }
}

world_test! {
    /// A server that flushes nothing is heard under stdbuf, which preloads a library of its own, outside of rauthbind or
    /// inside.
    fn stdbuf_works_outside_and_inside(world) {
        world.grant("byport/80", "alice");
        let server = world.compile_c("serve", include_str!("real_programs/serve.c"));
        let server = [server.to_str().unwrap(), "threads", "PORT"];
        for words in [["stdbuf", "-oL", "rauthbind"], ["rauthbind", "stdbuf", "-oL"]] {
            serves(world, &[words, server].concat(), |served| {
                served.running.stdout_line("listening");
                assert_eq!(answering_process(&served.answer), served.running.pid);
            });
        }
    }
}

/// Compiles one of the libraries in `preloads.c`.
fn library(world: &World, which: &str) -> String {
    let options = ["-shared", "-fPIC", &format!("-D{which}")];
    let path = world.compile_c_with(&options, &format!("{which}.so"), include_str!("preloads/preloads.c"));
    path.into_os_string().into_string().unwrap()
}

world_test! {
    /// A library that replaces bind sees the binds that it would see without us: before us what they came to, after us
    /// what the kernel says.
    fn libraries_with_a_bind_work_before_and_after_ours(world) {
        world.grant("byport/80", "alice");
        let server = world.compile_c("serve", include_str!("real_programs/serve.c"));
        let server = [server.to_str().unwrap(), "threads", "PORT"];
        let ways = with_library(&library(world, "COUNTING"), &server);
        for (words, seen) in ways.iter().zip(["bound", "bound", "EACCES"]) {
            let words = borrowed(words);
            serves(world, &words, |served| {
                assert_eq!(served.running.stderr_line("counting"), format!("counting: {seen}"));
                assert_eq!(answering_process(&served.answer), served.running.pid);
            });
            assert_eq!(is_refused(world, &words, "99").stderr, "counting: EACCES\nbind: Permission denied\n");
        }
    }
}

world_test! {
    /// Where a library between us and the kernel refuses what the kernel would allow, that refusal stands.
    fn refusals_of_another_preload_stand(world) {
        world.grant("byport/80", "alice");
        let refusing = library(world, "REFUSING");
        let script = "\
import ctypes, errno, os, socket, sys
def tell(what, bind):
    try: bind(); print(what, 'bound')
    except OSError as error: print(what, errno.errorcode[error.errno])
def null():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.bind(socket.socket().fileno(), None, 16): raise OSError(ctypes.get_errno(), 'bind')
tell('unprivileged', lambda: socket.socket().bind(('127.0.0.1', 8080)))
tell('any', lambda: socket.socket().bind(('127.0.0.1', 0)))
tell('unix', lambda: socket.socket(socket.AF_UNIX).bind('/run/tmp/socket'))
tell('null', null)
tell('refused', lambda: socket.socket().bind(('127.0.0.1', 99)))
tell('granted', lambda: socket.socket().bind(('127.0.0.1', 80)))
";
        let script = world.script("binds.py", script);
        let preload = format!("LD_PRELOAD={SHIM}:{refusing}");
        let words = ["rauthbind", "env", &preload, "python3", script.to_str().unwrap()];
        let done = world.command("alice", words).run().successful();
        let refused = ["unprivileged", "any", "unix", "null", "refused"].map(|what| format!("{what} EACCES\n"));
        assert_eq!(done.stdout, refused.concat() + "granted bound\n");
    }
}

world_test! {
    /// A server with AddressSanitizer is covered where that is linked statically, or is preloaded before ours, or is told
    /// not to insist on being the first; it finds nothing wrong with us. Where it insists, it ends before its main.
    fn servers_with_address_sanitizer_are_covered(world) {
        world.grant("byport/80", "alice");
        let source = include_str!("real_programs/serve.c");
        let fixed = world.compile_c_with(&["-fsanitize=address", "-static-libasan"], "fixed", source);
        let shared = world.compile_c_with(&["-fsanitize=address"], "shared", source);
        let [fixed, shared] = [&fixed, &shared].map(|path| path.to_str().unwrap());
        let library = world.command("root", ["cc", "-print-file-name=libasan.so"]).run().successful().stdout;
        let [outside, before, after] = with_library(library.trim_end(), &[shared, "threads", "PORT"]);
        let lenient = "ASAN_OPTIONS=verify_asan_link_order=0";
        for words in [
            vec!["rauthbind", fixed, "threads", "PORT"],
            vec!["env", lenient, "rauthbind", shared, "threads", "PORT"],
            vec!["rauthbind", "env", lenient, shared, "threads", "PORT"],
            borrowed(&outside),
            borrowed(&before),
        ] {
            serves(world, &words, |served| {
                let maps = served.process.file("maps");
                assert!(maps.contains(SHIM) && (words.contains(&fixed) || maps.contains("/libasan.so")), "{maps}");
                assert_eq!(answering_process(&served.answer), served.running.pid);
            });
            assert_eq!(is_refused(world, &words, "99").stderr, "bind: Permission denied\n");
        }
        for words in [vec!["rauthbind", shared, "threads", "80"], borrowed(&after)] {
            let done = world.command("alice", on_port(&words, "80")).run();
            assert!(!done.status.success());
            assert!(done.stderr.contains("ASan runtime does not come first"), "{}", done.stderr);
        }
    }
}

world_test! {
    /// All of it works for servers that have closed the channel, too, for which our library runs a helper of its own.
    fn other_libraries_work_without_the_channel(world) {
        world.grant("byport/80", "alice");
        let answers = world.script("answers", include_str!("real_programs/answers.pl"));
        let source = include_str!("real_programs/serve.c");
        let sanitized = world.compile_c_with(&["-fsanitize=address"], "sanitized", source);
        // Its clone(2) takes every child for a fork, and a program that has forked may make no threads.
        let threads = world.compile_c_with(&["-fsanitize=thread"], "threads", source);
        let [answers, sanitized, threads] = [&answers, &sanitized, &threads].map(|path| path.to_str().unwrap());
        let close = "import os, sys; os.closerange(3, 4096); os.execvp(sys.argv[1], sys.argv[1:])";
        let faketime = ["faketime", "-f", "@2001-02-15 12:00:00 x100"];
        let jemalloc = ["sh", "-c", "export LD_PRELOAD=libjemalloc.so.2:$LD_PRELOAD; exec \"$@\"", "sh"];
        for (words, part) in [
            (&["fakeroot", answers, "PORT"][..], " uid 0"),
            (&[&faketime, &WEB_SERVER[..]].concat(), " Feb 2001 "),
            (&[&jemalloc, &WEB_SERVER[..]].concat(), "HTTP/1.0 200 "),
            (&["env", "ASAN_OPTIONS=verify_asan_link_order=0", sanitized, "threads", "PORT"], " uid 4001"),
            (&[threads, "threads", "PORT"], " uid 4001"),
        ] {
            serves(world, &[&["rauthbind", "python3", "-c", close], words].concat(), |served| {
                assert!(served.answer.contains(part), "{} for {part}", served.answer);
            });
        }
    }
}

world_test! {
    /// A server that somebody has taken our library from gets the kernel's refusal, however that was done.
    fn without_our_library_the_kernels_refusal_stands(world) {
        world.grant("byport/80", "alice");
        let server = world.script("answers", include_str!("real_programs/answers.pl"));
        let server = server.to_str().unwrap();
        for wipe in [
            &["env", "-i"][..],
            &["env", "-u", "LD_PRELOAD"],
            &["env", "LD_PRELOAD=libjemalloc.so.2"],
            &["sh", "-c", "unset LD_PRELOAD; exec \"$@\"", "sh"],
            &["perl", "-e", "%ENV = (); exec @ARGV"],
            &["python3", "-c", "import os, sys; os.execve(sys.argv[1], sys.argv[1:], {})"],
        ] {
            is_refused(world, &[&["rauthbind"], wipe, &[server, "80"]].concat(), "80");
        }
        serves(world, &["rauthbind", server, "PORT"], |_served| ());
    }
}

world_test! {
    /// A server that wipes its own environment has read before where to ask.
    fn a_server_may_wipe_its_own_environment(world) {
        world.grant("byport/80", "alice");
        let wipe = "import http.server, os, sys; os.environ.clear(); \
            http.server.test(http.server.SimpleHTTPRequestHandler, http.server.HTTPServer, port=int(sys.argv[1]))";
        serves(world, &["rauthbind", "python3", "-c", wipe, "PORT"], |served| {
            assert!(served.answer.starts_with("HTTP/1.0 200 "), "{}", served.answer);
        });
    }
}
