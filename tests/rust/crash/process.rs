//! The child process: started, watched through a file of acknowledgements, stopped and killed.
//!
//! A destructor is not a crash: the child is this test binary run again, and nothing of it survives the kill but its
//! files. It acknowledges a step by appending to a file after the call has returned.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const ROLE: &str = "PRESTIGE_CRASH_ROLE";
pub const STORE: &str = "PRESTIGE_CRASH_STORE";
pub const ACKNOWLEDGED: &str = "PRESTIGE_CRASH_ACKNOWLEDGED";
pub const SEED: &str = "PRESTIGE_CRASH_SEED";

/// A running child; killed when this is dropped.
pub struct Running {
    child: Child,
    acknowledged: PathBuf,
}

impl Running {
    pub fn start(role: &str, seed: u64, store: &Path, acknowledged: &Path) -> Self {
        std::fs::write(acknowledged, b"").unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(STORE, store)
            .env(ACKNOWLEDGED, acknowledged)
            .env(SEED, seed.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Self {
            child,
            acknowledged: acknowledged.to_path_buf(),
        }
    }

    /// Waits until the child has acknowledged something.
    pub fn wait_for_acknowledgement(&mut self) {
        self.wait_until("nothing was acknowledged", |acknowledged| {
            std::fs::metadata(acknowledged).unwrap().len() > 0
        });
    }

    /// Waits until the child has acknowledged so many lines.
    pub fn wait_for_lines(&mut self, lines: u64) {
        self.wait_until("too little was acknowledged", |acknowledged| {
            let written = std::fs::read(acknowledged).unwrap();
            written.iter().filter(|byte| **byte == b'\n').count() as u64 >= lines
        });
    }

    fn wait_until(&mut self, otherwise: &str, condition: impl Fn(&Path) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !condition(&self.acknowledged) {
            self.assert_running();
            assert!(Instant::now() < deadline, "{otherwise} in a minute");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Stops every thread of the child where it is.
    pub fn stop(&mut self) {
        self.assert_running();
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-STOP", &id]).status().unwrap();
        assert!(sent.success());
        loop {
            let status = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
            // The name of the program, in parentheses, may hold anything.
            if status.rsplit_once(") ").unwrap().1.starts_with('T') {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Kills the child and returns what it acknowledged.
    pub fn kill(mut self) -> Vec<u8> {
        self.assert_running();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::fs::read(&self.acknowledged).unwrap()
    }

    /// A child that ended has failed, and said why on its standard error.
    fn assert_running(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "the child ended by itself: {ended:?}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
