//! A network of the test's own, where it may pull the cable. This test program runs again inside
//! network, mount and user namespaces; where the machine does not allow these, or lacks the programs
//! for them, the tests are skipped with a message.

use std::env;
use std::fs;
use std::process::{Command, Stdio};

use crate::missing::is_installed;

/// In the process inside: which scenario it is to play.
const VARIABLE: &str = "WSABI_TEST_NAMESPACE";

/// Plays a scenario inside. Its name is that of a test that calls [`is_inside`].
#[track_caller]
pub fn play(test: &str) {
    if !is_installed("unshare", "util-linux") || !is_installed("ip", "iproute2") {
        return;
    }
    let probe = Command::new("unshare")
        .args(["-rnm", "ip", "link"])
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        println!("skipped: no network namespaces for this user");
        return;
    }
    let output = Command::new("unshare")
        .arg("-rnm")
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(VARIABLE, test)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    print!("{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{test} failed inside"
    );
}

/// Whether this process is inside, to play this scenario; then it has a loopback. If it is not,
/// the scenario is played.
#[track_caller]
pub fn is_inside(test: &str) -> bool {
    match env::var(VARIABLE) {
        Ok(it) if it == test => {
            run("ip link set lo up");
            true
        }
        Ok(_) => false,
        Err(_) => {
            play(test);
            false
        }
    }
}

/// Runs a command, which has to succeed.
#[track_caller]
pub fn run(command: &str) {
    assert!(try_run(command), "{command}");
}

/// Whether a command succeeds.
pub fn try_run(command: &str) -> bool {
    let mut words = command.split(' ');
    let mut command = Command::new(words.next().unwrap());
    let status = command.args(words).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Puts a text in the place of a file, for this process and those that it starts.
#[track_caller]
pub fn replace_file(path: &str, text: &str) {
    let name = format!("wsabi-{}-{}", std::process::id(), path.replace('/', "-"));
    let own = env::temp_dir().join(name);
    fs::write(&own, text).unwrap();
    run(&format!("mount --bind {} {path}", own.display()));
    // The mount keeps it.
    fs::remove_file(&own).unwrap();
}

/// An interface that swallows whatever is sent to 10.9.9.2 and 2001:db8::2.
pub fn add_black_hole() {
    run("ip link add hole type veth peer name end");
    run("ip link set hole up");
    run("ip link set end up");
    run("ip addr add 10.9.9.1/24 dev hole");
    run("ip addr add 2001:db8::1/64 dev hole nodad");
    // A neighbour who is not there.
    for address in ["10.9.9.2", "2001:db8::2"] {
        run(&format!(
            "ip neigh add {address} lladdr 02:00:00:00:00:02 dev hole"
        ));
    }
}
