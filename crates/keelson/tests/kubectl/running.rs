//! Programs that run while a test goes on, and what they say.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// What may take so long on a busy machine at most.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A program that runs, ended when dropped.
pub struct Running(pub Child);

impl Running {
    /// Starts it with pipes.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().expect("the program runs"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _code = self.0.wait();
    }
}

/// The first line that contains `wanted`; what was read instead, when none came in time.
pub fn wait_for(output: impl Read + Send + 'static, wanted: &str) -> Result<String, String> {
    wait_in(&lines(output), wanted)
}

/// The lines of a program's output, as they come.
pub fn lines(output: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let _nobody = sender.send(line);
        }
    });
    lines
}

/// As [`wait_for`], of lines that go on afterwards.
pub fn wait_in(lines: &mpsc::Receiver<String>, wanted: &str) -> Result<String, String> {
    let mut read = String::new();
    while let Ok(line) = lines.recv_timeout(PATIENCE) {
        if line.contains(wanted) {
            return Ok(line);
        }
        read += &(line + "\n");
    }
    Err(read)
}

/// What the other side of a port says to some bytes.
pub fn http(port: u16, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the program listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("is set");
    let mut writing = stream.try_clone().expect("is cloned");
    let request = request.to_vec();
    let sending = std::thread::spawn(move || writing.write_all(&request));
    let mut answer = Vec::new();
    // A refused connection may be reset.
    let _reset = stream.read_to_end(&mut answer);
    let _broken = sending.join().expect("does not panic");
    String::from_utf8_lossy(&answer).into_owned()
}
