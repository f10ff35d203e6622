//! The service description: `?wsdl` and the schemas it names, for each version.

use crate::version::Version;

const PLACEHOLDER: &str = "{{PUBLIC_URL}}";

/// The WSDL of a version. `public_url` is scheme, host and port; the text adds the version's own path.
pub fn wsdl(version: Version, public_url: &str) -> String {
    let text = match version {
        Version::V1_1 => include_str!("../wsdl/1.1/smev-message-exchange-service-1.1.wsdl"),
        Version::V1_2 => include_str!("../wsdl/1.2/smev-message-exchange-service-1.2.wsdl"),
        Version::V1_3 => include_str!("../wsdl/1.3/smev-message-exchange-service-1.3.wsdl"),
    };
    text.replace(PLACEHOLDER, &crate::xml::attribute(public_url.trim_end_matches('/')))
}

/// A schema by its file name: it stands beside the WSDL under `?xsd=NAME`.
pub fn xsd(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(file, _)| *file == name).map(|(_, text)| *text)
}

macro_rules! files {
    ($($version:literal $name:literal,)*) => {
        const FILES: &[(&str, &str)] = &[
            $((
                concat!("smev-message-exchange-", $name, "-", $version, ".xsd"),
                include_str!(concat!("../wsdl/", $version, "/smev-message-exchange-", $name, "-", $version, ".xsd")),
            ),)*
        ];
    };
}

files! {
    "1.1" "types",
    "1.1" "basic",
    "1.1" "faults",
    "1.2" "types",
    "1.2" "basic",
    "1.2" "faults",
    "1.3" "types",
    "1.3" "basic",
    "1.3" "faults",
    "1.3" "routing",
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmldsig::{Document, Limits};

    #[test]
    fn every_description_is_complete_and_names_the_given_address() {
        for version in Version::ALL {
            let text = wsdl(version, "http://gw.region.local:7500/a&b/");
            assert!(!text.contains("{{"), "a placeholder is left in {version}");
            let document = Document::parse(text.as_bytes(), &Limits::default()).unwrap();
            let mut open = vec![document.root()];
            let mut address = None;
            while let Some(element) = open.pop() {
                open.extend(element.children());
                if element.local_name() == "address" {
                    address = element.attribute("location").map(str::to_owned);
                }
                if let Some(name) = element
                    .attribute("schemaLocation")
                    .and_then(|l| l.strip_prefix("?xsd="))
                {
                    assert!(xsd(name).is_some(), "{version}: {name}");
                }
            }
            let expected = format!("http://gw.region.local:7500/a&b/smev/v{version}/ws");
            assert_eq!(address, Some(expected));
        }
    }

    #[test]
    fn schemas_refer_only_to_each_other() {
        for (file, text) in FILES {
            let document = Document::parse(text.as_bytes(), &Limits::default()).unwrap();
            for import in document
                .root()
                .children()
                .filter(|child| child.local_name() == "import")
            {
                let name = import
                    .attribute("schemaLocation")
                    .and_then(|location| location.strip_prefix("?xsd="));
                assert!(name.is_some_and(|name| xsd(name).is_some()), "{file}");
            }
        }
        assert_eq!(xsd("../secret.xsd"), None);
    }
}
