//! What the scan lets through and what not.

use crate::{Document, Limits, ParseError};

fn parse(xml: &str) -> Result<(), ParseError> {
    Document::parse(xml.as_bytes(), &Limits::default()).map(|_| ())
}

fn what(xml: &str) -> &'static str {
    match parse(xml) {
        Err(ParseError::NotWellFormed { what, .. }) => what,
        other => panic!("{xml}: {other:?}"),
    }
}

#[test]
fn only_utf8_is_read() {
    assert_eq!(parse("\u{feff}<?xml version='1.0' encoding='UTF-8'?><a/>"), Ok(()));
    assert_eq!(
        parse("<?xml\tversion=\"1.0\"\nencoding = \"utf-8\" standalone='yes' ?>\n<a/>"),
        Ok(())
    );
    for encoding in ["windows-1251", "UTF-16", "ISO-8859-1", "us-ascii"] {
        assert_eq!(
            parse(&format!("<?xml version='1.0' encoding='{encoding}'?><a/>")),
            Err(ParseError::Encoding)
        );
        assert_eq!(
            parse(&format!("<?xml\nversion='1.0'\tencoding='{encoding}'?><a/>")),
            Err(ParseError::Encoding)
        );
    }
    let utf16: Vec<u8> = "\u{feff}<a/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(
        Document::parse(&utf16, &Limits::default()).err(),
        Some(ParseError::Encoding)
    );
    assert_eq!(parse("<?xml version='1.1'?><a/>"), Err(ParseError::Version));
}

#[test]
fn the_declaration_follows_its_grammar() {
    for broken in [
        "<?xml encoding='UTF-8'?><a/>",
        "<?xml version='1.0' standalone='yes' encoding='UTF-8'?><a/>",
        "<?xml version='1.0'encoding='UTF-8'?><a/>",
        "<?xml version='1.0' version='1.0'?><a/>",
        "<?xml version='1.0' standalone='maybe'?><a/>",
        "<?xml version='1.0?>'?><a/>",
        "<?xml ?><a/>",
    ] {
        assert_eq!(what(broken), "the XML declaration is broken", "{broken}");
    }
    assert!(parse(" <?xml version='1.0'?><a/>").is_err());
    assert!(parse("<a><?XML x?></a>").is_err());
    assert!(parse("<a><?x+y?></a>").is_err());
}

#[test]
fn a_dtd_is_refused_wherever_it_stands() {
    assert_eq!(parse("<!DOCTYPE a><a/>"), Err(ParseError::Dtd));
    assert_eq!(
        parse("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>"),
        Err(ParseError::Dtd)
    );
    assert_eq!(
        parse("<?xml version='1.0'?><!-- c --> <!DOCTYPE a SYSTEM 'http://x/'><a/>"),
        Err(ParseError::Dtd)
    );
    assert_eq!(parse("<a><!DOCTYPE b></a>"), Err(ParseError::Dtd));
    assert_eq!(
        parse("<a>&x;</a>").map_err(|e| e.to_string().contains("entity")),
        Err(true)
    );
}

#[test]
fn what_the_parser_alone_would_read_in_its_own_way_is_refused() {
    assert_eq!(
        what("<a xmlns='urn:1' xmlns='urn:2'/>"),
        "the default namespace is declared twice"
    );
    assert_eq!(
        what("<a xmlns:p='urn:1' p:xmlns='urn:2'/>"),
        "the name `xmlns` is misused"
    );
    assert_eq!(what("<a xmlns:xmlns='urn:1'/>"), "the name `xmlns` is misused");
    assert_eq!(what("<a xmlns:p='urn:1'><b xmlns:p=''/></a>"), "a prefix is undeclared");
    assert_eq!(what("<:a/>"), "a name is invalid");
    assert_eq!(what("<a></:a>"), "a name is invalid");
    assert_eq!(what("<a :b='1'/>"), "a name is invalid");
    for reference in [
        "&#xD800;",
        "&#xFFFFFFFF;",
        "&#0;",
        "&#xFFFE;",
        "&#x110000;",
        "&#;",
        "&#x;",
        "&#1a;",
    ] {
        assert!(parse(&format!("<a>{reference}</a>")).is_err(), "{reference}");
        assert!(parse(&format!("<a b='{reference}'/>")).is_err(), "{reference}");
        assert_eq!(
            parse(&format!("<a><![CDATA[{reference}]]><!--{reference}--></a>")),
            Ok(()),
            "{reference}"
        );
    }
    assert!(parse("<a>x\r&amp;</a>").is_err());
    assert_eq!(parse("<a>x\ry</a>"), Ok(()));
    assert_eq!(parse("<a>x\r\n&amp;</a>"), Ok(()));
}

#[test]
fn each_limit_is_met_exactly() {
    let limits = Limits {
        octets: 1000,
        depth: 3,
        attributes: 2,
        namespaces: 2,
        nodes: 6,
        lavish: false,
    };
    let parse = |xml: &str| Document::parse(xml.as_bytes(), &limits).map(|_| ());
    assert_eq!(parse("<a><a><a></a></a></a>"), Ok(()));
    assert_eq!(
        parse("<a><a><a><a></a></a></a></a>"),
        Err(ParseError::TooDeep { limit: 3 })
    );
    assert_eq!(parse("<a b='' c=''/>"), Ok(()));
    assert_eq!(
        parse("<a b='' c='' d=''/>"),
        Err(ParseError::TooManyAttributes { limit: 2 })
    );
    assert_eq!(
        parse("<a xmlns='urn:1'><b xmlns:p='urn:1'/><c xmlns='urn:2'/></a>"),
        Ok(())
    );
    assert_eq!(
        parse("<a xmlns='urn:1'><b xmlns='urn:1'><c xmlns='urn:2'/></b></a>"),
        Err(ParseError::TooManyNamespaces { limit: 2 })
    );
    assert_eq!(parse("<a>1<b/>2<!-- 3 --><c/></a>"), Ok(()));
    assert_eq!(
        parse("<a>1<b/>2<!-- 3 --><c/>4</a>"),
        Err(ParseError::TooManyNodes { limit: 6 })
    );
    assert_eq!(parse(&format!("<a>{}</a>", "x".repeat(993))), Ok(()));
    assert_eq!(
        parse(&format!("<a>{}</a>", "x".repeat(994))),
        Err(ParseError::TooLarge { limit: 1000 })
    );
}

#[test]
fn deep_nesting_is_refused_before_it_is_parsed() {
    assert_eq!(parse(&"<a>".repeat(1_000_000)), Err(ParseError::TooDeep { limit: 256 }));
}

#[test]
fn documents_that_would_cost_or_grow_out_of_proportion_are_refused() {
    let declarations: String = (0..200).map(|n| format!(" xmlns:n{n}='urn:{n}'")).collect();
    let redeclaring = format!("<a{declarations}>{}</a>", "<b xmlns:x='u'/>".repeat(100_000));
    assert_eq!(parse(&redeclaring), Err(ParseError::Wasteful));
    let growing = format!(
        "<a xmlns:x='urn:{}'>{}</a>",
        "x".repeat(10_000),
        "<x:b/>".repeat(100_000)
    );
    assert_eq!(parse(&growing), Err(ParseError::Wasteful));
    let long_prefixes: String = (100..200)
        .map(|n| format!(" xmlns:{}{n}='u'", "p".repeat(1000)))
        .collect();
    let comparing = format!("<a{long_prefixes}>{}</a>", "<b xmlns:x='u'/>".repeat(1000));
    assert_eq!(parse(&comparing), Err(ParseError::Wasteful));
    let long_name = format!(" xmlns:p='{}'", "u".repeat(1000));
    let attributes: String = (0..250).map(|n| format!(" p:a{n}=''")).collect();
    let matching = format!("<a{long_name}>{}</a>", format!("<b{attributes}/>").repeat(1000));
    assert_eq!(parse(&matching), Err(ParseError::Wasteful));
}

#[test]
fn documents_with_many_namespaces_that_people_do_send_are_read() {
    let declarations: String = (0..60)
        .map(|n| format!(" xmlns:n{n}='urn://x-artefacts/some/where/{n}/1.0.0'"))
        .collect();
    let ordinary = format!(
        "<a{declarations}>{}</a>",
        "<n7:Name n8:kind='1'>text</n7:Name>".repeat(20_000)
    );
    assert_eq!(parse(&ordinary), Ok(()));
    let declaring = "<x:Name xmlns:x='http://www.w3.org/2001/XMLSchema' xmlns:y='urn://y' y:kind='1'>text</x:Name>";
    assert_eq!(
        parse(&format!(
            "<a xmlns='urn:a' xmlns:b='urn:b' xmlns:c='urn:c'>{}</a>",
            declaring.repeat(20_000)
        )),
        Ok(())
    );
}
