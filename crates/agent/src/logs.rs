//! Answers to requests for logs, cut as asked.

use jiff::Timestamp;
use keelson_proto::keelson::api::v1::LogsRequest;

use crate::runtime::Line;

/// Keeps what the request asks for: the lines after `since_seconds`, of those the last `tail_lines`.
pub fn select(mut lines: Vec<Line>, request: &LogsRequest, now: Timestamp) -> Vec<Line> {
    if let Some(seconds) = request.since_seconds {
        lines.retain(|line| now.duration_since(line.at).as_secs() < seconds);
    }
    if let Some(tail) = request.tail_lines {
        let tail = usize::try_from(tail).unwrap_or(0);
        lines.drain(..lines.len().saturating_sub(tail));
    }
    lines
}

/// The bytes of some lines.
pub fn encode(lines: &[Line], timestamps: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        if timestamps {
            bytes.extend_from_slice(line.at.strftime("%Y-%m-%dT%H:%M:%S.%9fZ ").to_string().as_bytes());
        }
        bytes.extend_from_slice(line.text.as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(second: i64) -> Line {
        Line { at: Timestamp::from_second(second).expect("a time"), text: format!("at {second}") }
    }

    #[test]
    fn age_and_tail_cut_the_lines() {
        let lines: Vec<Line> = (0..10).map(line).collect();
        let now = Timestamp::from_second(10).expect("a time");
        let texts = |request: LogsRequest| -> Vec<String> {
            select(lines.clone(), &request, now).into_iter().map(|line| line.text).collect()
        };
        assert_eq!(texts(LogsRequest { tail_lines: Some(2), ..LogsRequest::default() }), ["at 8", "at 9"]);
        assert_eq!(texts(LogsRequest { since_seconds: Some(2), ..LogsRequest::default() }), ["at 9"]);
        assert_eq!(texts(LogsRequest { tail_lines: Some(0), ..LogsRequest::default() }).len(), 0);
        assert_eq!(encode(&lines[..1], true), b"1970-01-01T00:00:00.000000000Z at 0\n");
    }
}
