//! The structure of what a participant signs (PROTOCOL §3.1, §3.2): which elements, in which order, how often, with what
//! in them.
//!
//! The sender's data go to the receiver as they are, under the sender's signature: what is out of order in them could not
//! be put right on the way, and a receiver that reads by the schema would choke on it again and again. So the door
//! refuses it, with the name of the element and of what was expected. What an upstream delivers is not asked here: it
//! answers for its own.
//!
//! The rules are those of the published schemas, alike in all versions but for the attachments' headers of 1.3. Real
//! clients are met where they are known to differ, and where no receiver is harmed: white space around a value, an empty
//! `NodeID`, `TransactionCode` or `ReferenceMessageID` (the published schema of 1.2 demands the last two), an empty `BusinessProcessMetadata`, a `contentId` that is no `xs:ID` (PROTOCOL §1).

use uuid::Uuid;
use xmldsig::Element;

use super::send::exclusive;
use super::{date_time, missing, value};
use crate::fault::Fault;
use crate::version::{Version, XMLDSIG};
use crate::xml::shortened;

/// Looks at the elements of `SenderProvidedRequestData`.
///
/// # Errors
/// InvalidContent, naming the first element that is wrong and what was expected.
pub fn request_data(data: Element<'_, '_>, version: Version) -> Result<(), Fault> {
    Sequence::of(data, version).check(&REQUEST)
}

/// Looks at the elements of `SenderProvidedResponseData`.
///
/// # Errors
/// InvalidContent, naming the first element that is wrong and what was expected.
pub fn response_data(data: Element<'_, '_>, version: Version) -> Result<(), Fault> {
    let begins = |form: &&[Item]| data.children().any(|child| form[HEAD].is(child, version));
    let mut begun = FORMS.into_iter().filter(begins);
    match (begun.next(), begun.next()) {
        (Some(_), Some(_)) => Err(exclusive()),
        (form, _) => Sequence::of(data, version).check(form.unwrap_or(&ANSWER)),
    }
}

/// A namespace of the version.
#[derive(Clone, Copy)]
enum Space {
    Types,
    Basic,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Occurs {
    Once,
    Optional,
    OnceOrMore,
    OnceUpTo(usize),
    Any,
}

impl Occurs {
    fn is_required(self) -> bool {
        matches!(self, Self::Once | Self::OnceOrMore | Self::OnceUpTo(_))
    }

    fn may_repeat(self) -> bool {
        matches!(self, Self::OnceOrMore | Self::OnceUpTo(_) | Self::Any)
    }
}

#[derive(Clone, Copy)]
enum Content {
    /// A text of at most so many characters.
    Text(usize),
    /// A UUID in lower case, or nothing.
    Uuid,
    /// `xs:dateTime`.
    Moment,
    /// `RFC2046MimeTypesType`.
    MimeType,
    /// `xs:base64Binary`.
    Base64,
    /// Nothing.
    Nothing,
    /// A `ds:Signature` and nothing else.
    Signature,
    /// Elements of other namespaces, however many.
    Foreign,
    /// Elements that are read elsewhere, and no text beside them.
    Payload,
    /// Read elsewhere.
    Opaque,
    /// These elements in this order.
    Elements(&'static [Item]),
}

/// A place in a sequence.
#[derive(Clone, Copy)]
struct Item {
    space: Space,
    name: &'static str,
    occurs: Occurs,
    content: Content,
    /// The first version that has it.
    since: Version,
}

impl Item {
    fn is(&self, element: Element<'_, '_>, version: Version) -> bool {
        self.exists_in(version) && element.is(self.namespace(version), self.name)
    }

    fn exists_in(&self, version: Version) -> bool {
        version >= self.since
    }

    fn namespace(&self, version: Version) -> &'static str {
        match self.space {
            Space::Types => version.types(),
            Space::Basic => version.basic(),
        }
    }
}

const fn item(space: Space, name: &'static str, occurs: Occurs, content: Content) -> Item {
    Item {
        space,
        name,
        occurs,
        content,
        since: Version::V1_1,
    }
}

const fn new_in_1_3(name: &'static str, content: Content) -> Item {
    Item {
        since: Version::V1_3,
        ..item(Space::Basic, name, Occurs::Optional, content)
    }
}

use Content::{Base64, Elements, Foreign, MimeType, Moment, Nothing, Opaque, Signature, Text};
use Occurs::{Any, Once, OnceOrMore, OnceUpTo, Optional};
use Space::{Basic, Types};

const UNBOUNDED: usize = usize::MAX;

const MESSAGE_ID: Item = item(Types, "MessageID", Once, Text(100));
const PAYLOAD: Item = item(Basic, "MessagePrimaryContent", Once, Content::Payload);
const PERSONAL_SIGNATURE: Item = item(Types, "PersonalSignature", Optional, Signature);
const ATTACHMENTS: Item = item(
    Basic,
    "AttachmentHeaderList",
    Optional,
    Elements(&[item(Basic, "AttachmentHeader", OnceOrMore, Elements(&ATTACHMENT))]),
);
const ATTACHMENT: [Item; 5] = [
    item(Basic, "contentId", Once, Text(1000)),
    new_in_1_3("NamespaceUri", Text(UNBOUNDED)),
    item(Basic, "MimeType", Once, MimeType),
    item(Basic, "SignaturePKCS7", Optional, Base64),
    new_in_1_3("Archive", ARCHIVE),
];
const STORED_FILES: Item = item(
    Basic,
    "RefAttachmentHeaderList",
    Optional,
    Elements(&[item(Basic, "RefAttachmentHeader", OnceOrMore, Elements(&STORED_FILE))]),
);
const STORED_FILE: [Item; 7] = [
    item(Basic, "uuid", Once, Text(UNBOUNDED)),
    new_in_1_3("FileName", Text(UNBOUNDED)),
    new_in_1_3("NamespaceUri", Text(UNBOUNDED)),
    item(Basic, "Hash", Once, Text(UNBOUNDED)),
    item(Basic, "MimeType", Once, MimeType),
    item(Basic, "SignaturePKCS7", Optional, Base64),
    new_in_1_3("Archive", ARCHIVE),
];
const ARCHIVE: Content = Elements(&[item(
    Basic,
    "File",
    OnceUpTo(1000),
    Elements(&[
        item(Basic, "Name", Once, Text(UNBOUNDED)),
        item(Basic, "NamespaceUri", Once, Text(UNBOUNDED)),
    ]),
)]);

const REQUEST: [Item; 11] = [
    MESSAGE_ID,
    item(Types, "ReferenceMessageID", Optional, Content::Uuid),
    item(Types, "TransactionCode", Optional, Text(1500)),
    item(Types, "NodeID", Optional, Text(50)),
    item(Types, "EOL", Optional, Moment),
    PAYLOAD,
    PERSONAL_SIGNATURE,
    ATTACHMENTS,
    STORED_FILES,
    item(Types, "BusinessProcessMetadata", Optional, Foreign),
    item(Types, "TestMessage", Optional, Nothing),
];

const TO: Item = item(Types, "To", Once, Text(4000));
/// How many elements of a response come before what tells its form.
const HEAD: usize = 2;
const ANSWER: [Item; 6] = [MESSAGE_ID, TO, PAYLOAD, PERSONAL_SIGNATURE, ATTACHMENTS, STORED_FILES];
const REJECTED: [Item; 3] = [
    MESSAGE_ID,
    TO,
    item(
        Types,
        "RequestRejected",
        OnceOrMore,
        Elements(&[
            item(Types, "RejectionReasonCode", Once, Text(50)),
            item(Types, "RejectionReasonDescription", Once, Text(4000)),
        ]),
    ),
];
const STATUS: [Item; 3] = [
    MESSAGE_ID,
    TO,
    item(
        Types,
        "RequestStatus",
        Once,
        Elements(&[
            item(Types, "StatusCode", Once, Text(20)),
            item(
                Types,
                "StatusParameter",
                Any,
                Elements(&[
                    item(Types, "Key", Once, Text(UNBOUNDED)),
                    item(Types, "Value", Once, Text(UNBOUNDED)),
                ]),
            ),
            item(Types, "StatusDescription", Once, Text(4000)),
        ]),
    ),
];
const ASYNC: [Item; 3] = [MESSAGE_ID, TO, item(Types, "AsyncProcessingStatus", Once, Opaque)];
const FORMS: [&[Item]; 4] = [&ANSWER, &REJECTED, &STATUS, &ASYNC];

/// An element whose children are looked at.
struct Sequence<'d, 'a> {
    parent: Element<'d, 'a>,
    version: Version,
}

impl<'d, 'a> Sequence<'d, 'a> {
    fn of(parent: Element<'d, 'a>, version: Version) -> Self {
        Self { parent, version }
    }

    fn check(&self, items: &[Item]) -> Result<(), Fault> {
        if self.parent.has_text() {
            return Err(Fault::invalid(format!(
                "В элементе {} не может быть текста между вложенными элементами.",
                self.parent.local_name()
            )));
        }
        // The item that the last child was, and those that may come now.
        let mut last: Option<usize> = None;
        for child in self.parent.children() {
            let from = last.map_or(0, |at| if items[at].occurs.may_repeat() { at } else { at + 1 });
            let after = last.map_or(0, |at| at + 1);
            let Some(place) = (from..items.len()).find(|&at| items[at].is(child, self.version)) else {
                return Err(self.unexpected(child, items, from));
            };
            if let Some(absent) = (after..place).find(|&at| items[at].occurs.is_required()) {
                let later = self
                    .parent
                    .children()
                    .any(|other| items[absent].is(other, self.version));
                return Err(if later {
                    self.unexpected(child, items, from)
                } else {
                    missing(items[absent].name)
                });
            }
            if let OnceUpTo(most) = items[place].occurs
                && last != Some(place)
            {
                self.bounded(&items[place], most)?;
            }
            self.content(child, items[place].content)?;
            last = Some(place);
        }
        let after = last.map_or(0, |at| at + 1);
        match items[after..].iter().find(|item| item.occurs.is_required()) {
            Some(absent) => Err(missing(absent.name)),
            None => Ok(()),
        }
    }

    fn bounded(&self, item: &Item, most: usize) -> Result<(), Fault> {
        let times = self.parent.children().filter(|child| item.is(*child, self.version));
        when(times.count() <= most, || {
            format!("Элементов {} в {} больше {most}.", item.name, self.parent.local_name())
        })
    }

    fn unexpected(&self, child: Element<'_, '_>, items: &[Item], from: usize) -> Fault {
        let (name, parent) = (shortened(child.local_name(), 100), self.parent.local_name());
        let expected = self.expected(items, from);
        let known = items.iter().find(|item| item.is(child, self.version));
        if let Some(item) = known {
            let times = self
                .parent
                .children()
                .filter(|other| item.is(*other, self.version))
                .count();
            if times > 1 && !item.occurs.may_repeat() {
                return Fault::invalid(format!("Элемент {name} встречается более одного раза."));
            }
            return Fault::invalid(format!(
                "Элемент {name} в {parent} стоит не на своём месте: {expected}."
            ));
        }
        let named = items
            .iter()
            .find(|item| item.exists_in(self.version) && item.name == child.local_name());
        if let Some(item) = named {
            return Fault::invalid(format!(
                "Элемент {name} в {parent} относится к другому пространству имён: ожидается {}.",
                item.namespace(self.version)
            ));
        }
        Fault::invalid(format!(
            "Элемент {name} в {parent} не предусмотрен версией {}: {expected}.",
            self.version
        ))
    }

    /// What may stand next: everything up to the first that must.
    fn expected(&self, items: &[Item], from: usize) -> String {
        let next = items[from..].iter().filter(|item| item.exists_in(self.version));
        let mut names = Vec::new();
        for item in next {
            names.push(item.name);
            if item.occurs.is_required() {
                break;
            }
        }
        match names.split_last() {
            None => format!("элемент {} на этом заканчивается", self.parent.local_name()),
            Some((only, [])) => format!("ожидается {only}"),
            Some((last, others)) => format!("ожидается {} или {last}", others.join(", ")),
        }
    }

    fn content(&self, element: Element<'_, '_>, content: Content) -> Result<(), Fault> {
        let name = element.local_name();
        match content {
            Text(limit) => value(element, limit).map(|_| ()),
            Content::Uuid => {
                let text = value(element, 100)?;
                let canonical = Uuid::try_parse(&text).is_ok_and(|id| id.to_string() == *text);
                when(text.is_empty() || canonical, || {
                    expected_value(name, &text, "UUID в нижнем регистре")
                })
            }
            Moment => {
                let text = value(element, 100)?;
                when(date_time(&text).is_some(), || {
                    expected_value(name, &text, "значение типа dateTime")
                })
            }
            MimeType => {
                let text = value(element, 1000)?;
                when(is_mime_type(&text), || {
                    expected_value(
                        name,
                        &text,
                        "тип вида application/zip (text, image, audio, video, application)",
                    )
                })
            }
            Base64 => {
                let text = value(element, UNBOUNDED)?;
                let fits = |octet: u8| {
                    octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'=' | b' ' | b'\t' | b'\n' | b'\r')
                };
                when(text.bytes().all(fits), || expected_value(name, &text, "base64"))
            }
            Nothing => when(!element.has_element_children() && !element.has_text(), || {
                format!("Элемент {name} должен быть пустым.")
            }),
            Signature => {
                let mut children = element.children();
                let alone = children.next().is_some_and(|only| only.is(XMLDSIG, "Signature"))
                    && children.next().is_none()
                    && !element.has_text();
                when(alone, || format!("В {name} должна быть ровно одна ds:Signature."))
            }
            Foreign => {
                let foreign = |child: Element<'_, '_>| {
                    child
                        .namespace()
                        .is_some_and(|namespace| namespace != self.version.types())
                };
                when(element.children().all(foreign) && !element.has_text(), || {
                    format!("В {name} могут быть только элементы других пространств имён.")
                })
            }
            Content::Payload => when(!element.has_text(), || {
                format!("В {name} не может быть текста рядом с элементом.")
            }),
            Opaque => Ok(()),
            Elements(items) => Sequence::of(element, self.version).check(items),
        }
    }
}

fn when(right: bool, text: impl FnOnce() -> String) -> Result<(), Fault> {
    if right { Ok(()) } else { Err(Fault::invalid(text())) }
}

fn expected_value(name: &str, text: &str, expected: &str) -> String {
    if text.is_empty() {
        format!("Элемент {name} пуст: ожидается {expected}.")
    } else {
        format!("Недопустимое значение {name}: ожидается {expected}.")
    }
}

fn is_mime_type(text: &str) -> bool {
    let Some((kind, rest)) = text.split_once('/') else {
        return false;
    };
    matches!(kind, "text" | "image" | "audio" | "video" | "application")
        && rest
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'+' | b'.'))
}

#[cfg(test)]
mod tests;
