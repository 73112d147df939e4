//! Running the binary and making its answer the same on every machine.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use regex::Regex;
use tempfile::TempDir;

/// A folder of its own for one test.
pub(crate) struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, with the folders it needs.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.path().join(path)).unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_headwater"));
        command.args(arguments).current_dir(self.path());
        command.env_clear().env("HOME", self.path()).env("PATH", "/usr/bin:/bin").env("TZ", "UTC");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        self.run_with_input(arguments, "")
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Answer {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        let output = child.wait_with_output().unwrap();
        Answer { output, folder: fs::canonicalize(self.path()).unwrap() }
    }
}

/// What a run of the binary left.
pub(crate) struct Answer {
    pub(crate) output: Output,
    folder: PathBuf,
}

impl Answer {
    pub(crate) fn code(&self) -> i32 {
        self.output.status.code().expect("it ended by itself")
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8(self.output.stderr.clone()).unwrap()
    }

    /// Fails with everything the binary said when the code is another.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "stdout:\n{}\nstderr:\n{}", self.stdout(), self.stderr());
        self
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.output.stdout).unwrap_or_else(|error| panic!("{error} in {}", self.stdout()))
    }

    /// Exit code, stdout and stderr as one text, without what differs from run to run.
    pub(crate) fn transcript(&self) -> String {
        let text = format!(
            "exit code: {}\n--- stdout\n{}--- stderr\n{}",
            self.code(),
            ended(self.stdout()),
            ended(self.stderr())
        );
        self.without_noise(&text)
    }

    fn without_noise(&self, text: &str) -> String {
        let folder = self.folder.display().to_string();
        let mut text = text.replace(&folder, "[folder]");
        for (pattern, replacement) in [
            // A project without a name is called after its folder.
            (r"_tmp[A-Za-z0-9]{6}\b", "[project]"),
            (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]"),
            (r"\b\d\d:\d\d:\d\d\b", "[clock]"),
            (r"\b\d+\.\d\ds\b", "[took]"),
            (r"\b\d+(\.\d+)? (KiB|MiB|B)\b", "[size]"),
        ] {
            text = Regex::new(pattern).unwrap().replace_all(&text, replacement).into_owned();
        }
        text
    }
}

fn ended(text: String) -> String {
    if text.is_empty() || text.ends_with('\n') { text } else { text + "\n(no newline)\n" }
}
