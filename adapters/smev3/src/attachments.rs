//! Attachments inside a message: inline base64 or MTOM, paired with their headers (PROTOCOL §7).

use engine::command::AttachmentFault;
use xmldsig::Element;

use crate::mime::{Multipart, decode_base64};
use crate::request::AttachmentHeader;
use crate::version::{Version, XOP};

/// Attachments of one message at most, inline and as parts of a multipart body together.
pub const MAX_ATTACHMENTS: usize = 1000;

/// Reads the contents that belong to the headers, in the headers' order.
///
/// # Errors
/// There are more than [`MAX_ATTACHMENTS`], headers and contents do not pair one to one, a content cannot be read, or
/// they have more than `limit` octets in total.
pub fn contents(
    call: Element<'_, '_>,
    version: Version,
    headers: &[AttachmentHeader],
    multipart: Option<&Multipart<'_>>,
    limit: u64,
) -> Result<Vec<Vec<u8>>, AttachmentFault> {
    let basic = version.basic();
    let lists: Vec<_> = call
        .children()
        .filter(|child| child.is(basic, "AttachmentContentList"))
        .collect();
    let items: Vec<_> = match lists[..] {
        [] => Vec::new(),
        [list] => list
            .children()
            .filter(|child| child.is(basic, "AttachmentContent"))
            .collect(),
        _ => return Err(AttachmentFault::ManyLists),
    };
    let (announced, present) = (headers.len(), items.len());
    if announced.max(present) > MAX_ATTACHMENTS {
        return Err(AttachmentFault::TooMany {
            permitted: MAX_ATTACHMENTS,
        });
    }
    if announced != present {
        return Err(AttachmentFault::Count { announced, present });
    }
    let mut contents: Vec<Option<Vec<u8>>> = vec![None; announced];
    let mut real = 0_u64;
    for item in items {
        let id = item.only_child(basic, "Id").map_err(|_| AttachmentFault::Unnamed)?;
        let id = id.text();
        let id = id.trim();
        let place = headers.iter().position(|header| header.content_id == id);
        let place = place.filter(|&place| contents[place].is_none());
        let place = place.ok_or(AttachmentFault::Mismatch)?;
        let content = item.only_child(basic, "Content").map_err(|_| AttachmentFault::Empty)?;
        let octets = octets(content, multipart)?;
        real += octets.len() as u64;
        contents[place] = Some(octets);
    }
    if real > limit {
        return Err(AttachmentFault::TooLarge { permitted: limit, real });
    }
    Ok(contents.into_iter().flatten().collect())
}

/// The envelope with what MTOM took out of `signed` put back, if anything was: what is signed is the whole content.
///
/// `signed` is the range of the signed element in `source`.
///
/// # Errors
/// A reference leads nowhere, or to what cannot be read.
pub fn restore_signed(
    source: &str,
    signed: Element<'_, '_>,
    multipart: &Multipart<'_>,
) -> Result<Option<String>, AttachmentFault> {
    use base64::Engine as _;
    let mut out = String::new();
    let mut copied = 0;
    let mut open = vec![signed];
    let mut includes = Vec::new();
    while let Some(element) = open.pop() {
        if element.is(XOP, "Include") {
            includes.push(element);
        } else {
            open.extend(element.children());
        }
    }
    if includes.is_empty() {
        return Ok(None);
    }
    includes.sort_by_key(|include| include.range().start);
    for include in includes {
        out.push_str(&source[copied..include.range().start]);
        let octets = included(include, multipart)?;
        base64::engine::general_purpose::STANDARD.encode_string(octets, &mut out);
        copied = include.range().end;
    }
    out.push_str(&source[copied..]);
    Ok(Some(out))
}

fn octets(content: Element<'_, '_>, multipart: Option<&Multipart<'_>>) -> Result<Vec<u8>, AttachmentFault> {
    if let Ok(include) = content.only_child(XOP, "Include") {
        return included(include, multipart.ok_or(AttachmentFault::PartMissing)?);
    }
    if content.has_element_children() {
        return Err(AttachmentFault::Encoding);
    }
    decode_base64(content.text().as_bytes()).ok_or(AttachmentFault::Encoding)
}

fn included(include: Element<'_, '_>, multipart: &Multipart<'_>) -> Result<Vec<u8>, AttachmentFault> {
    let part = include.attribute("href").and_then(|href| multipart.by_href(href));
    let part = part.ok_or(AttachmentFault::PartMissing)?;
    part.content().map_err(|_| AttachmentFault::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Fault, FaultName};
    use crate::mime;
    use xmldsig::{Document, Limits};

    const VERSION: Version = Version::V1_2;

    fn headers(ids: &[&str]) -> Vec<AttachmentHeader> {
        ids.iter()
            .map(|id| AttachmentHeader {
                content_id: (*id).into(),
                mime_type: "a/b".into(),
            })
            .collect()
    }

    fn read(
        list: &str,
        ids: &[&str],
        multipart: Option<&Multipart<'_>>,
        limit: u64,
    ) -> Result<Vec<Vec<u8>>, AttachmentFault> {
        let xml = format!(r#"<c xmlns="{}">{list}</c>"#, VERSION.basic());
        let document = Document::parse(xml.as_bytes(), &Limits::default()).unwrap();
        contents(document.root(), VERSION, &headers(ids), multipart, limit)
    }

    fn list(items: &[(&str, &str)]) -> String {
        let items: String = items
            .iter()
            .map(|(id, content)| {
                format!("<AttachmentContent><Id>{id}</Id><Content>{content}</Content></AttachmentContent>")
            })
            .collect();
        format!("<AttachmentContentList>{items}</AttachmentContentList>")
    }

    #[test]
    fn the_number_of_attachments_has_one_limit_however_they_come() {
        for (count, fits) in [(MAX_ATTACHMENTS, true), (MAX_ATTACHMENTS + 1, false)] {
            let ids: Vec<String> = (0..count).map(|n| format!("a{n}")).collect();
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let inline: Vec<(&str, &str)> = ids.iter().map(|id| (*id, "QQ==")).collect();
            let read = read(&list(&inline), &ids, None, u64::MAX);
            match read {
                Ok(contents) => assert!(fits && contents.len() == count),
                Err(fault) => assert!(!fits && matches!(fault, AttachmentFault::TooMany { .. }), "{fault}"),
            }
            let parts: Vec<_> = ids
                .iter()
                .map(|id| mime::Attachment {
                    content_id: (*id).to_owned(),
                    content_type: "a/b".to_owned(),
                    octets: b"A".to_vec(),
                })
                .collect();
            let (content_type, body) = mime::write("<a/>", &parts);
            assert_eq!(Multipart::parse(&content_type, &body).is_ok(), fits, "{count}");
        }
    }

    #[test]
    fn contents_come_in_the_order_of_the_headers() {
        let list = list(&[("b", "Qg=="), ("1a.zip", " QQ\n== ")]);
        assert_eq!(
            read(&list, &["1a.zip", "b"], None, 2),
            Ok(vec![b"A".to_vec(), b"B".to_vec()])
        );
        assert_eq!(read("", &[], None, 0), Ok(Vec::new()));
    }

    #[test]
    fn what_does_not_pair_is_miscoordinated() {
        let two = list(&[("a", "QQ=="), ("b", "Qg==")]);
        for (xml, ids) in [
            (two.as_str(), &["a"][..]),
            (two.as_str(), &["a", "c"]),
            (two.as_str(), &["a", "a"]),
            (&list(&[("a", "QQ=="), ("a", "Qg==")]), &["a", "b"]),
            ("", &["a"]),
            (&two.repeat(2), &["a", "b"]),
        ] {
            let fault = Fault::from(read(xml, ids, None, 100).unwrap_err());
            assert_eq!(fault.name, FaultName::AttachmentContentMiscoordination, "{xml} {ids:?}");
        }
    }

    #[test]
    fn the_limit_counts_all_octets_and_says_how_many() {
        let two = list(&[("a", "QUFB"), ("b", "QkI=")]);
        let fault = read(&two, &["a", "b"], None, 4).unwrap_err();
        assert_eq!(fault, AttachmentFault::TooLarge { permitted: 4, real: 5 });
        assert!(read(&two, &["a", "b"], None, 5).is_ok());
    }

    #[test]
    fn parts_of_the_body_are_read_like_inline_ones() {
        let part = mime::Attachment {
            content_id: "x@y".into(),
            content_type: "a/b".into(),
            octets: vec![0, 255, 13],
        };
        let (content_type, body) = mime::write("<e/>", &[part]);
        let multipart = Multipart::parse(&content_type, &body).unwrap();
        let include = |href: &str| list(&[("a", &format!(r#"<i:Include xmlns:i="{XOP}" href="{href}"/>"#))]);
        assert_eq!(
            read(&include("cid:x%40y"), &["a"], Some(&multipart), 9),
            Ok(vec![vec![0, 255, 13]])
        );
        for (href, multipart) in [("cid:z", Some(&multipart)), ("cid:x@y", None)] {
            assert_eq!(
                read(&include(href), &["a"], multipart, 9),
                Err(AttachmentFault::PartMissing)
            );
        }
    }

    #[test]
    fn what_mtom_took_out_of_the_signed_data_is_put_back() {
        let part = mime::Attachment {
            content_id: "s".into(),
            content_type: "a/b".into(),
            octets: b"hello".to_vec(),
        };
        let (content_type, body) = mime::write("<e/>", &[part]);
        let multipart = Multipart::parse(&content_type, &body).unwrap();
        let include = format!(r#"<i:Include xmlns:i="{XOP}" href="cid:s"/>"#);
        let xml = format!("<c><d><e>{include}</e>é<e>{include}</e></d><f>{include}</f></c>");
        let document = Document::parse(xml.as_bytes(), &Limits::default()).unwrap();
        let signed = document.root().children().next().unwrap();
        let restored = restore_signed(&xml, signed, &multipart).unwrap().unwrap();
        assert_eq!(
            restored,
            format!("<c><d><e>aGVsbG8=</e>é<e>aGVsbG8=</e></d><f>{include}</f></c>")
        );
    }
}
