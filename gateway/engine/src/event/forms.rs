//! How values stand in events.

/// Left out: nothing, none, zero.
pub(super) fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The identifier of a certificate in hexadecimal, as it names the file.
pub(crate) mod certificate {
    use std::borrow::Cow;

    use gost::CertificateId;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(id: &CertificateId, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = [0; 64];
        hex::encode_to_slice(id.0, &mut text).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(std::str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CertificateId, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse()
            .map_err(|_| de::Error::custom("not the identifier of a certificate"))
    }
}

/// A place in the spool as `[segment, offset, length]`.
pub(super) mod location {
    use journal::Location;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in crate::event) fn serialize<S: Serializer>(at: &Location, serializer: S) -> Result<S::Ok, S::Error> {
        (at.segment, at.offset, at.len).serialize(serializer)
    }

    pub(in crate::event) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Location, D::Error> {
        let (segment, offset, len) = Deserialize::deserialize(deserializer)?;
        Ok(Location { segment, offset, len })
    }
}

/// The same where there may be none.
pub(super) mod maybe_location {
    use journal::Location;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde's `with` hands the field over by reference")]
    pub(in crate::event) fn serialize<S: Serializer>(at: &Option<Location>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(|at| (at.segment, at.offset, at.len)).serialize(serializer)
    }

    pub(in crate::event) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Location>, D::Error> {
        let at = Option::<(u64, u32, u32)>::deserialize(deserializer)?;
        Ok(at.map(|(segment, offset, len)| Location { segment, offset, len }))
    }
}

/// Parts as `[number, segment, offset, length]`.
pub(super) mod parts {
    use journal::Location;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::event) fn serialize<S: Serializer>(
        parts: &[(u16, Location)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(
            parts
                .iter()
                .map(|(number, at)| (*number, at.segment, at.offset, at.len)),
        )
    }

    pub(in crate::event) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(u16, Location)>, D::Error> {
        let parts = Vec::<(u16, u64, u32, u32)>::deserialize(deserializer)?;
        let place = |(number, segment, offset, len)| (number, Location { segment, offset, len });
        Ok(parts.into_iter().map(place).collect())
    }
}

/// 16 octets in hexadecimal.
pub(super) mod token {
    use serde::{Deserialize, Deserializer, Serializer, de};

    #[expect(clippy::ref_option, reason = "serde's `with` hands the field over by reference")]
    pub(in crate::event) fn serialize<S: Serializer>(
        token: &Option<[u8; 16]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match token {
            Some(token) => {
                let mut text = [0; 32];
                hex::encode_to_slice(token, &mut text).map_err(serde::ser::Error::custom)?;
                serializer.serialize_str(std::str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
            }
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::event) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<[u8; 16]>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        let mut token = [0; 16];
        hex::decode_to_slice(text, &mut token).map_err(de::Error::custom)?;
        Ok(Some(token))
    }
}
