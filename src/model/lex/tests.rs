use super::*;

fn kinds(text: &str) -> String {
    let (tokens, faults) = lex(text);
    assert_eq!(faults, [], "{text}");
    let short = |(token, span): &(Token, Span)| match token {
        Token::Name => text[span.start..span.end].to_owned(),
        Token::Function => format!("{}()", &text[span.start..span.end]),
        Token::MetaKey => format!("{}:", &text[span.start..span.end]),
        Token::Number(x) | Token::Constant(x) => x.to_string(),
        Token::Text(text) => format!("{text:?}"),
        Token::Keyword(word) => format!("{word:?}"),
        Token::Symbol(symbol) => (*symbol).to_owned(),
        Token::Segment => "segment".to_owned(),
        Token::EndOfLine => ";".to_owned(),
        Token::Indent => "{".to_owned(),
        Token::Dedent => "}".to_owned(),
        Token::End => "end".to_owned(),
        Token::Bad => "bad".to_owned(),
    };
    tokens.iter().map(short).collect::<Vec<_>>().join(" ")
}

#[test]
fn lines_are_joined_inside_brackets_and_by_backslashes() {
    assert_eq!(
        kinds("x = (1 # one\n\n  + 2)\ny = 3 \\\n + 4"),
        "x = ( 1 + 2 ) ; y = 3 + 4 ; end"
    );
    assert_eq!(kinds("x = 1 + \\\n# remark\n  2\ny"), "x = 1 + 2 ; y ; end");
    assert_eq!(kinds("x = 1 \\\r\n\r\ny"), "x = 1 ; y ; end");
}

#[test]
fn indentation_becomes_tokens() {
    assert_eq!(
        kinds("x\n  y\n    z\n\n # remark\nw"),
        "x ; { y ; { z ; } } w ; end"
    );
    assert_eq!(kinds("x\n        y\n\tz"), "x ; { y ; z ; } end");
    assert_eq!(kinds("  x\n  y"), "x ; y ; end");
}

#[test]
fn numbers_names_and_words() {
    assert_eq!(
        kinds("1 .5 5. 2.5e-3 1E3 infinity"),
        "1 0.5 5 0.0025 1000 inf ; end"
    );
    assert_eq!(
        kinds("exp(x) exp x1_2 not in"),
        "exp() ( x ) exp x1_2 Not In ; end"
    );
    assert_eq!(kinds("a<=b//c!=d"), "a <= b // c != d ; end");
}

#[test]
fn colons_start_texts() {
    assert_eq!(
        kinds("desc:  It's (a [text # gone"),
        "desc: : \"It's (a [text\" ; end"
    );
    assert_eq!(kinds("a:b:c: d"), "a:b:c: : \"d\" ; end");
    assert_eq!(kinds("x = 3 : text\ny"), "x = 3 : \"text\" ; y ; end");
    assert_eq!(kinds("desc:\ny"), "desc: : ; y ; end");
    assert_eq!(
        kinds("desc: one \\\n   two\ny"),
        "desc: : \"one two\" ; y ; end"
    );
    assert_eq!(
        kinds("desc: \"\"\"one\"\"\"\ny"),
        "desc: : \"one\" ; y ; end"
    );
    assert_eq!(
        kinds("desc: \"\"\"\n   one # kept\n     two\n   \"\"\"\ny"),
        "desc: : \"one # kept\\n  two\" ; y ; end"
    );
}

#[test]
fn comments_between_quotes_and_scripts_are_skipped() {
    assert_eq!(kinds("x\n\"\"\"\nnot ( this\n\"\"\"\ny"), "x ; y ; end");
    assert_eq!(kinds("x\n\"\"\" or this \"\"\"\ny"), "x ; y ; end");
    assert_eq!(
        kinds("[[model]]\n[[script]]\n$ % & (((\n"),
        "segment ; segment ; end"
    );
}

#[test]
fn an_open_bracket_does_not_swallow_the_next_statement() {
    for next in [
        "y = 2",
        "  y = 2",
        "dot(y) = 2",
        "[comp]",
        "[[protocol]]",
        "a.y = 1",
        "desc: a",
    ] {
        let text = format!("x = (1 + 2\n{next}\n");
        let (tokens, faults) = lex(&text);
        assert_eq!(faults.len(), 1, "{next}");
        assert_eq!(faults[0].place(), 4, "{next}");
        assert_eq!(
            tokens
                .iter()
                .filter(|(t, _)| *t == Token::EndOfLine)
                .count(),
            2,
            "{next}"
        );
    }
}

#[test]
fn faults_are_reported_once_per_line() {
    let (tokens, faults) = lex("x = 1 $ 2 $ 3\ny = 1 & 2\n");
    assert_eq!(faults.len(), 2);
    assert_eq!(tokens.iter().filter(|(t, _)| *t == Token::Bad).count(), 3);
}
