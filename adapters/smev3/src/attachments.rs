//! Attachments inside a message: inline base64 or MTOM, paired with their headers (PROTOCOL §7).

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::command::AttachmentFault;
use xmldsig::Element;

use crate::mime::{Multipart, Part, decode_base64};
use crate::request::AttachmentHeader;
use crate::version::{Version, XOP};

/// Attachments of one message at most, inline and as parts of a multipart body together.
pub const MAX_ATTACHMENTS: usize = 1000;

/// Reads the contents that belong to the headers, in the headers' order. Nothing is copied any more once they have more
/// than `limit` octets, and every part of the multipart body is copied once at most.
///
/// # Errors
/// There are more than [`MAX_ATTACHMENTS`], headers and contents do not pair one to one, a content cannot be read, two
/// are the same part, or they have more than `limit` octets in total.
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
    let mut parts = multipart.map(Parts::of);
    let mut real = 0_u64;
    for item in items {
        let id = item.only_child(basic, "Id").map_err(|_| AttachmentFault::Unnamed)?;
        let id = id.text();
        let id = id.trim();
        let place = headers.iter().position(|header| header.content_id == id);
        let place = place.filter(|&place| contents[place].is_none());
        let place = place.ok_or(AttachmentFault::Mismatch)?;
        let content = item.only_child(basic, "Content").map_err(|_| AttachmentFault::Empty)?;
        let octets = octets(content, parts.as_mut())?;
        real += octets.len() as u64;
        contents[place] = Some(if real > limit { Vec::new() } else { octets.into_owned() });
    }
    if real > limit {
        return Err(AttachmentFault::TooLarge { permitted: limit, real });
    }
    Ok(contents.into_iter().flatten().collect())
}

/// What MTOM took out of a signed element, found and measured: what is signed is the whole content.
#[derive(Debug)]
pub struct TakenOut<'m, 'b> {
    /// The places of the references in the document, in order, and the parts that belong there.
    places: Vec<(Range<usize>, &'m Part<'b>)>,
}

impl<'m, 'b> TakenOut<'m, 'b> {
    /// Finds the references in `signed`; `None` if there are none. Copies nothing.
    ///
    /// # Errors
    /// A reference leads nowhere, or where another one leads.
    pub fn find(signed: Element<'_, '_>, multipart: &'m Multipart<'b>) -> Result<Option<Self>, AttachmentFault> {
        let mut parts = Parts::of(multipart);
        let mut places = Vec::new();
        // Children on the way down, so that a wide element costs no more than a narrow one.
        let mut open = vec![signed.children()];
        while let Some(children) = open.last_mut() {
            match children.next() {
                None => {
                    open.pop();
                }
                Some(include) if include.is(XOP, "Include") => places.push((include.range(), parts.take(include)?)),
                Some(element) => open.push(element.children()),
            }
        }
        Ok((!places.is_empty()).then_some(Self { places }))
    }

    /// Octets of `source` at most when everything has been put back.
    pub fn restored_len(&self, source: &str) -> usize {
        let base64 = |part: &Part<'_>| match part.base64 {
            // At worst its padding was missing.
            true => part.octets.len().saturating_add(2),
            false => part.octets.len().div_ceil(3).saturating_mul(4),
        };
        self.places.iter().fold(source.len(), |len, (place, part)| {
            len.saturating_sub(place.len()).saturating_add(base64(part))
        })
    }

    /// Puts everything back. Callers look at [`restored_len`](Self::restored_len) first.
    ///
    /// # Errors
    /// A part is not in the encoding that it announces.
    pub fn restore(&self, source: &str) -> Result<String, AttachmentFault> {
        let mut out = String::with_capacity(self.restored_len(source));
        let mut copied = 0;
        for (place, part) in &self.places {
            out.push_str(&source[copied..place.start]);
            let octets = part.decoded().map_err(|_| AttachmentFault::Encoding)?;
            STANDARD.encode_string(octets, &mut out);
            copied = place.end;
        }
        out.push_str(&source[copied..]);
        Ok(out)
    }
}

/// The parts of a body, each to be had once: who refers to one part again and again makes much of little.
struct Parts<'m, 'b> {
    multipart: &'m Multipart<'b>,
    taken: HashSet<&'m str>,
}

impl<'m, 'b> Parts<'m, 'b> {
    fn of(multipart: &'m Multipart<'b>) -> Self {
        Self {
            multipart,
            taken: HashSet::new(),
        }
    }

    fn take(&mut self, include: Element<'_, '_>) -> Result<&'m Part<'b>, AttachmentFault> {
        let part = include.attribute("href").and_then(|href| self.multipart.by_href(href));
        let part = part.ok_or(AttachmentFault::PartMissing)?;
        if self.taken.insert(&part.content_id) {
            Ok(part)
        } else {
            Err(AttachmentFault::PartRepeated)
        }
    }
}

fn octets<'m>(content: Element<'_, '_>, parts: Option<&mut Parts<'m, '_>>) -> Result<Cow<'m, [u8]>, AttachmentFault> {
    if let Ok(include) = content.only_child(XOP, "Include") {
        let part = parts.ok_or(AttachmentFault::PartMissing)?.take(include)?;
        return part.decoded().map_err(|_| AttachmentFault::Encoding);
    }
    if content.has_element_children() {
        return Err(AttachmentFault::Encoding);
    }
    let octets = decode_base64(content.text().as_bytes()).ok_or(AttachmentFault::Encoding)?;
    Ok(Cow::Owned(octets))
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
        let part = |id: &str, octets: &[u8]| mime::Attachment {
            content_id: id.into(),
            content_type: "a/b".into(),
            octets: octets.to_vec(),
        };
        let (content_type, body) = mime::write("<e/>", &[part("s", b"hello"), part("t", b"world")]);
        let multipart = Multipart::parse(&content_type, &body).unwrap();
        let include = format!(r#"<i:Include xmlns:i="{XOP}" href="cid:s"/>"#);
        let other = include.replace("cid:s", "cid:t");
        let find = |xml: &str| -> Result<Option<(usize, String)>, AttachmentFault> {
            let document = Document::parse(xml.as_bytes(), &Limits::default()).unwrap();
            let signed = document.root().children().next().unwrap();
            let taken = TakenOut::find(signed, &multipart)?;
            Ok(taken.map(|taken| (taken.restored_len(xml), taken.restore(xml).unwrap())))
        };
        let xml = format!("<c><d><e>{include}</e>é<e>{other}</e></d><f>{include}</f></c>");
        let (bound, restored) = find(&xml).unwrap().unwrap();
        assert_eq!(
            restored,
            format!("<c><d><e>aGVsbG8=</e>é<e>d29ybGQ=</e></d><f>{include}</f></c>")
        );
        assert!((restored.len()..restored.len() + 100).contains(&bound), "{bound}");
        assert_eq!(find(&format!("<c><d/><f>{include}</f></c>")), Ok(None));
        assert_eq!(
            find(&format!("<c><d>{include}<e>{include}</e></d></c>")),
            Err(AttachmentFault::PartRepeated)
        );
    }

    #[test]
    fn one_part_is_one_attachment() {
        let part = mime::Attachment {
            content_id: "x".into(),
            content_type: "a/b".into(),
            octets: vec![7; 1000],
        };
        let (content_type, body) = mime::write("<e/>", &[part]);
        let multipart = Multipart::parse(&content_type, &body).unwrap();
        let include = format!(r#"<i:Include xmlns:i="{XOP}" href="cid:x"/>"#);
        let twice = list(&[("a", &include), ("b", &include)]);
        assert_eq!(
            read(&twice, &["a", "b"], Some(&multipart), 10),
            Err(AttachmentFault::PartRepeated)
        );
        assert_eq!(
            read(&list(&[("a", &include)]), &["a"], Some(&multipart), 10),
            Err(AttachmentFault::TooLarge {
                permitted: 10,
                real: 1000
            })
        );
    }
}
