//! Answers that break off, never end, or have another type.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use super::gateway::{BadReply, Delivery, Rule};
use super::{BRIEF, Case, HASTY, MANY, PATIENT, answer, for_each_in_parallel, json};

/// A broken answer, and golive's error for it.
type BadAnswer = (&'static str, BadReply, &'static str);

const NO_ANSWER: &str = "the connection broke before an answer came";
const CUT: &str = "the connection broke inside the answer";
const LATE: &str = "no answer within 0.3 s";
const TOO_LONG: &str = "the body is longer than 33554432 bytes";
const NO_JSON: &str = "the body is not JSON";

fn raw(text: &str) -> BadReply {
    BadReply::Bytes(text.as_bytes().to_vec())
}

pub(super) fn ok(headers: &str, body: impl AsRef<[u8]>) -> BadReply {
    BadReply::Bytes(answer("200 OK", headers, body))
}

/// A GiB of zeros, compressed: one repeated block, which is cheap to produce.
pub(super) fn bomb() -> BadReply {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&vec![0; 1 << 20]).unwrap();
    encoder.flush().unwrap();
    let (head, block) = encoder.get_ref().split_at(10);
    ok("content-encoding: gzip\r\n", [head, &block.repeat(1 << 10)].concat())
}

/// Ten thousand headers.
pub(super) fn header_flood() -> BadReply {
    let mut headers = String::new();
    for number in 0..10_000 {
        write!(headers, "x-{number}: {number}\r\n").unwrap();
    }
    ok(&headers, "[]")
}

/// A body without end: in chunks, or until the connection closes.
pub(super) fn endless(chunked: bool) -> BadReply {
    let (head, piece) = if chunked {
        let piece = [b"10000\r\n".as_slice(), &vec![b' '; 0x1_0000], b"\r\n"].concat();
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", piece)
    } else {
        ("HTTP/1.1 200 OK\r\n\r\n", vec![b' '; 0x1_0000])
    };
    BadReply::Endless(head.as_bytes().to_vec(), piece, Duration::ZERO)
}

/// Single bytes with pauses, without end.
fn slow_body() -> BadReply {
    let head = b"HTTP/1.1 200 OK\r\n\r\n[".to_vec();
    BadReply::Endless(head, b" ".to_vec(), Duration::from_millis(50))
}

/// Answers that break the connection or the protocol.
fn broken_connections() -> Vec<BadAnswer> {
    let head = "HTTP/1.1 200 OK\r\n";
    let continued = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
    vec![
        ("closed without an answer", raw(""), NO_ANSWER),
        ("reset without an answer", BadReply::Reset(Vec::new()), NO_ANSWER),
        ("closed in the status line", raw("HTTP/1.1 2"), NO_ANSWER),
        ("closed in the headers", raw(head), NO_ANSWER),
        ("reset in the body", BadReply::Reset(json("[{")[..60].to_vec()), ""),
        ("a body that is cut", raw(&format!("{head}content-length: 99\r\n\r\n[")), CUT),
        (
            "a chunk that is cut",
            raw(&format!("{head}transfer-encoding: chunked\r\n\r\n9\r\n[")),
            CUT,
        ),
        (
            "a chunk of 2^64 bytes",
            raw(&format!("{head}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n[")),
            CUT,
        ),
        (
            "a length of 2^70 bytes",
            raw(&format!("{head}content-length: 1180591620717411303424\r\n\r\n[")),
            NO_ANSWER,
        ),
        (
            "two lengths",
            raw(&format!("{head}content-length: 2\r\ncontent-length: 3\r\n\r\n[]]")),
            NO_ANSWER,
        ),
        ("a negative length", raw(&format!("{head}content-length: -1\r\n\r\n[]")), NO_ANSWER),
        ("never", BadReply::Silence, LATE),
        ("a byte now and then", slow_body(), LATE),
        (
            "continue, for ever",
            BadReply::Endless(Vec::new(), continued, Duration::from_millis(1)),
            LATE,
        ),
        ("another protocol", raw("SSH-2.0-OpenSSH_9.9\r\n"), NO_ANSWER),
        ("a status that is none", raw("HTTP/1.1 99999 Fine\r\n\r\n[]"), NO_ANSWER),
        ("soup that claims to be packed", ok("content-encoding: gzip\r\n", "soup"), CUT),
    ]
}

/// Oversized answers.
fn oversized_answers() -> Vec<BadAnswer> {
    let header = format!("x-long: {}\r\n", "x".repeat(1 << 20));
    vec![
        ("chunks without end", endless(true), TOO_LONG),
        ("a body without end", endless(false), TOO_LONG),
        ("a bomb", bomb(), TOO_LONG),
        ("ten thousand headers", header_flood(), NO_ANSWER),
        ("a header of 1 MiB", ok(&header, "[]"), NO_ANSWER),
        ("100,000 open brackets", BadReply::Bytes(json("[".repeat(100_000))), NO_JSON),
        ("100,000 open braces", BadReply::Bytes(json(r#"{"a":"#.repeat(100_000))), NO_JSON),
        (
            "100,000 brackets",
            BadReply::Bytes(json(format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)))),
            "none of its elements can be read",
        ),
    ]
}

/// Whole answers of another type.
fn wrong_answers() -> Vec<BadAnswer> {
    let page = "<!DOCTYPE html><html><title>Sign in</title><script>x</script></html>";
    let utf16: Vec<u8> = "[]".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut answers = vec![
        ("a page", ok("content-type: text/html\r\n", page), "it reads \"Sign in\""),
        (
            "a page of a gateway",
            BadReply::Bytes(answer("502 Bad Gateway", "", page)),
            "was answered 502 Bad Gateway: Sign in",
        ),
        ("nothing", ok("", ""), "the body is empty"),
        ("no content", raw("HTTP/1.1 204 No Content\r\n\r\n"), "it was answered 204, not 200"),
        ("a word", BadReply::Bytes(json("\"live\"")), "it is neither an object nor an array"),
        ("null", BadReply::Bytes(json("null")), "it is neither an object nor an array"),
        ("JSON in UTF-16", BadReply::Bytes(json(utf16)), NO_JSON),
        ("a text that is not UTF-8", BadReply::Bytes(json(b"[\"\xff\xfe\"]")), ""),
        ("packed in an unknown way", ok("content-encoding: br\r\n", "\x0b"), NO_JSON),
    ];
    for code in
        ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        for target in [
            "http://TRAP/api/publishers/contoso/offers",
            "/api/publishers/contoso/offers",
            "//TRAP",
            "",
        ] {
            let head = format!(
                "HTTP/1.1 {code}\r\nlocation: {target}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            answers.push(("a redirect", raw(&head), "which golive does not follow"));
        }
    }
    answers
}

fn bad_answers() -> impl Iterator<Item = BadAnswer> {
    [broken_connections(), oversized_answers(), wrong_answers()].into_iter().flatten()
}

/// An endless answer times out before it is too long.
fn excerpt(message: &str) -> &'static str {
    if message == LATE { HASTY } else { BRIEF }
}

#[test]
fn an_invalid_list_is_reported_and_nothing_is_sent() {
    let cases = bad_answers().map(|(name, reply, message)| Case {
        name: format!("list: {name}"),
        rule: Rule::new("GET", "/offers", reply),
        line: excerpt(message),
        code: 1,
        accepted: false,
        message: message.to_owned(),
    });
    for_each_in_parallel(MANY, cases, |case| case.run());
}

#[test]
fn an_accepted_golive_is_found_whatever_its_answer() {
    let cases = bad_answers().map(|(name, reply, message)| Case {
        name: format!("golive, accepted: {name}"),
        rule: Rule::new("POST", "/golive", reply),
        line: if message == LATE {
            "apply --wait=1m --timeout 1s --settle 50ms --poll 20ms"
        } else {
            PATIENT
        },
        code: 0,
        accepted: true,
        message: "1 operation started; 1 offer: 1 Live.".to_owned(),
    });
    for_each_in_parallel(MANY, cases, |case| case.run());
}

#[test]
fn a_golive_that_never_arrives_is_sent_twice_and_then_left_in_doubt() {
    let in_time = broken_connections().into_iter().filter(|(_, _, message)| *message != LATE);
    let cases = in_time.map(|(name, reply, _)| Case {
        name: format!("golive, lost: {name}"),
        rule: Rule { arrives: Delivery::No, ..Rule::new("POST", "/golive", reply) },
        // Repeated after the first one's deadline: three request timeouts.
        line: "apply --wait=1m --timeout 1s --settle 50ms --poll 20ms --poll-max 50ms",
        code: 1,
        accepted: false,
        message: "sent 2 times, left no trace".to_owned(),
    });
    for_each_in_parallel(MANY, cases, |case| {
        let hostile = case.check();
        assert_eq!(hostile.gateway.hits(), 2, "{}", case.name);
        hostile.gateway.rules(Vec::new());
        // Even if the marketplace is honest by now, the result of the two is unknown.
        hostile.golive(BRIEF).code(1);
        assert_eq!(hostile.env.golives("contoso/vm"), (0, 0), "{}", case.name);
    });
}

#[test]
fn a_failed_poll_does_not_end_the_operation() {
    let soon = broken_connections().into_iter().filter(|(_, _, message)| *message != LATE);
    let cases = soon.chain(oversized_answers()).map(|(name, reply, _)| Case {
        name: format!("poll: {name}"),
        rule: Rule { times: 1, ..Rule::new("GET", "/operations/*", reply) },
        line: PATIENT,
        code: 0,
        accepted: true,
        message: "1 operation started; 1 offer: 1 Live.".to_owned(),
    });
    for_each_in_parallel(MANY, cases, |case| case.run());
}
