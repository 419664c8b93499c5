//! The commands, and their byte strings.

use openmls::prelude::tls_codec::Deserialize as _;
use openmls::prelude::*;
use serde::Deserialize;

/// Errors are told as text: what the test checks is that there are none.
pub type Answer<T> = Result<T, String>;

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Command {
    /// A client with a signature key; `private`: its handshakes are PrivateMessages.
    New {
        member: String,
        private: bool,
    },
    KeyPackage {
        member: String,
    },
    Create {
        member: String,
        group_id: Bytes,
        extensions: Bytes,
    },
    Join {
        member: String,
        welcome: Bytes,
    },
    ExternalJoin {
        member: String,
        group_info: Bytes,
        psks: Vec<Bytes>,
        aad: Bytes,
    },
    /// Makes a pre-shared key known.
    Psk {
        member: String,
        id: Bytes,
        secret: Bytes,
    },
    /// Commits, with the pending proposals, and adopts the new epoch at once.
    Commit {
        member: String,
        add: Vec<Bytes>,
        remove: Vec<u32>,
        psks: Vec<Bytes>,
        /// The extensions as `Extension extensions<V>`; absent: no change.
        extensions: Option<Bytes>,
        update: bool,
        aad: Bytes,
    },
    ProposeAdd {
        member: String,
        key_package: Bytes,
    },
    ProposeRemove {
        member: String,
        index: u32,
    },
    ProposeUpdate {
        member: String,
    },
    ProposePsk {
        member: String,
        id: Bytes,
    },
    ProposeExtensions {
        member: String,
        extensions: Bytes,
    },
    Process {
        member: String,
        message: Bytes,
    },
    Send {
        member: String,
        plaintext: Bytes,
        aad: Bytes,
    },
    State {
        member: String,
    },
}

impl Command {
    pub fn member(&self) -> &str {
        match self {
            Command::New { member, .. }
            | Command::KeyPackage { member }
            | Command::Create { member, .. }
            | Command::Join { member, .. }
            | Command::ExternalJoin { member, .. }
            | Command::Psk { member, .. }
            | Command::Commit { member, .. }
            | Command::ProposeAdd { member, .. }
            | Command::ProposeRemove { member, .. }
            | Command::ProposeUpdate { member }
            | Command::ProposePsk { member, .. }
            | Command::ProposeExtensions { member, .. }
            | Command::Process { member, .. }
            | Command::Send { member, .. }
            | Command::State { member } => member,
        }
    }
}

#[derive(Clone)]
pub struct Bytes(pub Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex::decode(text).map(Bytes).map_err(serde::de::Error::custom)
    }
}

impl Bytes {
    pub fn message(&self) -> Answer<MlsMessageBodyIn> {
        Ok(MlsMessageIn::tls_deserialize_exact(&self.0).map_err(text)?.extract())
    }

    pub fn key_package(&self, crypto: &impl OpenMlsCrypto) -> Answer<KeyPackage> {
        let MlsMessageBodyIn::KeyPackage(key_package) = self.message()? else {
            return Err("not a KeyPackage".into());
        };
        key_package.validate(crypto, ProtocolVersion::Mls10).map_err(text)
    }

    pub fn extensions(&self) -> Answer<Extensions<GroupContext>> {
        Extensions::tls_deserialize_exact(&self.0).map_err(text)
    }
}

pub fn encoded(value: &impl tls_codec::Serialize) -> Answer<String> {
    Ok(hex::encode(value.tls_serialize_detached().map_err(text)?))
}

pub fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
