use super::*;

fn fault(span: std::ops::Range<usize>) -> Diagnostic {
    Diagnostic::error("E0000", "units differ")
        .at(span.into(), "this is [mV]")
        .help("write [mV]")
}

#[test]
fn columns_count_characters() {
    let source = Source::new("a.mmt", "µé = 1\nx = µ + y");
    let y = source.text.rfind('y').unwrap();
    assert_eq!(source.line_column(y), (2, 9));
    assert_eq!(source.line_column(0), (1, 1));
    assert_eq!(source.line_column(2), (1, 2));
    assert_eq!(source.line_column(1), (1, 1), "inside µ");
    assert_eq!(source.line_column(10_000), (2, 10));
}

#[test]
fn lines_end_with_lf_crlf_or_cr() {
    for end in ["\n", "\r\n", "\r"] {
        let source = Source::new("a.mmt", format!("one{end}two{end}{end}four"));
        assert_eq!(
            source.line_column(source.text.find("two").unwrap()),
            (2, 1),
            "{end:?}"
        );
        assert_eq!(
            source.line_column(source.text.find("ur").unwrap()),
            (4, 3),
            "{end:?}"
        );
    }
}

#[test]
fn text_shows_file_line_column_caret_and_help() {
    let source = Source::new("models/a.mmt", "[a]\r\nµ = 1 + yy\r\nz = 2\r\n");
    let start = source.text.find("yy").unwrap();
    let text = render_text(&[fault(start..start + 2)], &source, false);
    assert_eq!(
        text,
        "error[E0000]: units differ
 --> models/a.mmt:2:9
  |
2 | µ = 1 + yy
  |         ^^ this is [mV]
  |
  = help: write [mV]
"
    );
}

#[test]
fn text_is_coloured_only_on_request() {
    let source = Source::new("a.mmt", "x = y");
    assert!(!render_text(&[fault(4..5)], &source, false).contains('\x1b'));
    assert!(render_text(&[fault(4..5)], &source, true).contains('\x1b'));
}

#[test]
fn places_outside_the_text_are_moved_into_it() {
    let source = Source::new("a.mmt", "é");
    for range in [0..0, 1..1, 1..2, 2..2, 5..9] {
        render_text(&[fault(range)], &source, false);
    }
    render_text(&[fault(0..0)], &Source::new("empty.mmt", ""), false);
}

#[test]
fn json_has_both_ends_and_nulls_without_a_place() {
    let source = Source::new("a.mmt", "x = µ\ny = 2");
    let both = [fault(4..6), Diagnostic::warning("W0000", "no time")];
    let json = render_json(&both, &source);
    assert_eq!(json[0]["line"], 1);
    assert_eq!(json[0]["column"], 5);
    assert_eq!(json[0]["end_line"], 1);
    assert_eq!(json[0]["end_column"], 6);
    assert_eq!(json[0]["code"], "E0000");
    assert_eq!(json[0]["help"], "write [mV]");
    assert_eq!(json[1]["severity"], "warning");
    assert!(json[1]["line"].is_null() && json[1]["help"].is_null());
}

#[test]
fn nearest_forgives_case_and_slips() {
    let names = ["membrane.V", "sodium.m", "sodium.g_Na", "exp", "log10"];
    assert_eq!(nearest("v", names), Some("membrane.V"));
    assert_eq!(nearest("Membrane.v", names), Some("membrane.V"));
    assert_eq!(nearest("membrain.V", names), Some("membrane.V"));
    assert_eq!(nearest("g_na", names), Some("sodium.g_Na"));
    assert_eq!(nearest("sodium.gNa", names), Some("sodium.g_Na"));
    assert_eq!(nearest("epx", names), Some("exp"));
    assert_eq!(nearest("potassium", names), None);
    assert_eq!(nearest("q", names), None);
    assert_eq!(nearest("", names), None);
}
