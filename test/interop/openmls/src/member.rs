//! One client: what each command does with OpenMLS.

use openmls::prelude::*;
use openmls::schedule::{ExternalPsk, PreSharedKeyId, Psk};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::OpenMlsProvider;
use serde_json::{Value, json};

use crate::wire::{Answer, Bytes, Command, encoded, text};

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// Private extension types that the other side uses: silta_manifests and silta_room.
const OWN_EXTENSIONS: [u16; 2] = [0xf001, 0xf002];

pub struct Member {
    provider: OpenMlsRustCrypto,
    signer: SignatureKeyPair,
    credential: CredentialWithKey,
    policy: WireFormatPolicy,
    group: Option<MlsGroup>,
}

impl Member {
    pub fn new(name: &str, private: bool) -> Answer<Self> {
        let provider = OpenMlsRustCrypto::default();
        let signer = SignatureKeyPair::new(SUITE.signature_algorithm()).map_err(text)?;
        signer.store(provider.storage()).map_err(text)?;
        let credential = CredentialWithKey {
            credential: BasicCredential::new(name.into()).into(),
            signature_key: signer.public().into(),
        };
        let policy = if private {
            MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY
        } else {
            MIXED_PLAINTEXT_WIRE_FORMAT_POLICY
        };
        Ok(Self {
            provider,
            signer,
            credential,
            policy,
            group: None,
        })
    }

    pub fn signature_key(&self) -> &[u8] {
        self.signer.public()
    }

    pub fn run(&mut self, command: Command) -> Answer<Value> {
        match command {
            Command::New { .. } => Err("a member is made once".into()),
            Command::KeyPackage { .. } => self.key_package(),
            Command::Create {
                group_id, extensions, ..
            } => self.create(group_id, extensions),
            Command::Join { welcome, .. } => self.join(welcome),
            Command::ExternalJoin {
                group_info, psks, aad, ..
            } => self.external_join(group_info, psks, aad),
            Command::Psk { id, secret, .. } => {
                self.psk(&id)?.store(&self.provider, &secret.0).map_err(text)?;
                Ok(Value::Null)
            }
            Command::Commit {
                add,
                remove,
                psks,
                extensions,
                update,
                aad,
                ..
            } => self.commit(add, remove, psks, extensions, update, aad),
            Command::ProposeAdd { key_package, .. } => {
                let key_package = key_package.key_package(self.provider.crypto())?;
                self.propose(Propose::Add(key_package))
            }
            Command::ProposeRemove { index, .. } => self.propose(Propose::Remove(index)),
            Command::ProposeUpdate { .. } => self.propose(Propose::Update(LeafNodeParameters::default())),
            Command::ProposePsk { id, .. } => {
                let psk = self.psk(&id)?;
                self.propose(Propose::PreSharedKey(psk))
            }
            Command::ProposeExtensions { extensions, .. } => {
                self.propose(Propose::GroupContextExtensions(extensions.extensions()?))
            }
            Command::Process { message, .. } => self.process(message),
            Command::Send { plaintext, aad, .. } => self.send(plaintext, aad),
            Command::State { .. } => self.state(),
        }
    }

    fn capabilities() -> Capabilities {
        let extensions = OWN_EXTENSIONS.map(ExtensionType::Unknown).to_vec();
        Capabilities::builder().extensions(extensions).build()
    }

    fn join_config(&self) -> MlsGroupJoinConfig {
        MlsGroupJoinConfig::builder()
            .wire_format_policy(self.policy)
            .use_ratchet_tree_extension(true)
            .build()
    }

    fn psk(&self, id: &Bytes) -> Answer<PreSharedKeyId> {
        let psk = Psk::External(ExternalPsk::new(id.0.clone()));
        PreSharedKeyId::new(SUITE, self.provider.rand(), psk).map_err(text)
    }

    fn key_package(&self) -> Answer<Value> {
        let bundle = KeyPackage::builder()
            .leaf_node_capabilities(Self::capabilities())
            .build(SUITE, &self.provider, &self.signer, self.credential.clone())
            .map_err(text)?;
        let message = MlsMessageOut::from(bundle.key_package().clone());
        Ok(json!({ "keyPackage": encoded(&message)? }))
    }

    fn create(&mut self, group_id: Bytes, extensions: Bytes) -> Answer<Value> {
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(SUITE)
            .wire_format_policy(self.policy)
            .use_ratchet_tree_extension(true)
            .capabilities(Self::capabilities())
            .with_group_context_extensions(extensions.extensions()?)
            .build();
        let group = MlsGroup::new_with_group_id(
            &self.provider,
            &self.signer,
            &config,
            GroupId::from_slice(&group_id.0),
            self.credential.clone(),
        )
        .map_err(text)?;
        self.group = Some(group);
        self.group_info()
    }

    fn join(&mut self, welcome: Bytes) -> Answer<Value> {
        let MlsMessageBodyIn::Welcome(welcome) = welcome.message()? else {
            return Err("not a Welcome".into());
        };
        let staged =
            StagedWelcome::new_from_welcome(&self.provider, &self.join_config(), welcome, None).map_err(text)?;
        self.group = Some(staged.into_group(&self.provider).map_err(text)?);
        Ok(Value::Null)
    }

    fn external_join(&mut self, group_info: Bytes, psks: Vec<Bytes>, aad: Bytes) -> Answer<Value> {
        let MlsMessageBodyIn::GroupInfo(group_info) = group_info.message()? else {
            return Err("not a GroupInfo".into());
        };
        if let Some(mut former) = self.group.take() {
            former.delete(self.provider.storage()).map_err(text)?;
        }
        let psks: Vec<_> = psks
            .iter()
            .map(|id| Ok(PreSharedKeyProposal::new(self.psk(id)?)))
            .collect::<Answer<_>>()?;
        let leaf = LeafNodeParameters::builder()
            .with_capabilities(Self::capabilities())
            .build();
        let (group, bundle) = MlsGroup::external_commit_builder()
            .with_config(self.join_config())
            .with_aad(aad.0)
            .build_group(&self.provider, group_info, self.credential.clone())
            .map_err(text)?
            .leaf_node_parameters(leaf)
            .add_psk_proposals(psks)
            .load_psks(self.provider.storage())
            .map_err(text)?
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .map_err(text)?
            .finalize(&self.provider)
            .map_err(text)?;
        let commit = encoded(bundle.commit())?;
        self.group = Some(group);
        Ok(json!({ "commit": commit, "groupInfo": self.group_info()?["groupInfo"] }))
    }

    fn commit(
        &mut self,
        add: Vec<Bytes>,
        remove: Vec<u32>,
        psks: Vec<Bytes>,
        extensions: Option<Bytes>,
        update: bool,
        aad: Bytes,
    ) -> Answer<Value> {
        let add: Vec<_> = add
            .iter()
            .map(|bytes| bytes.key_package(self.provider.crypto()))
            .collect::<Answer<_>>()?;
        let psks: Vec<_> = psks
            .iter()
            .map(|id| {
                Ok(Proposal::PreSharedKey(Box::new(PreSharedKeyProposal::new(
                    self.psk(id)?,
                ))))
            })
            .collect::<Answer<_>>()?;
        let group = self.group.as_mut().ok_or("no group")?;
        group.set_aad(aad.0);
        let mut builder = group
            .commit_builder()
            .propose_adds(add)
            .propose_removals(remove.into_iter().map(LeafNodeIndex::new))
            .add_proposals(psks)
            .force_self_update(update);
        if let Some(extensions) = extensions {
            builder = builder
                .propose_group_context_extensions(extensions.extensions()?)
                .map_err(text)?;
        }
        let bundle = builder
            .load_psks(self.provider.storage())
            .map_err(text)?
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .map_err(text)?
            .stage_commit(&self.provider)
            .map_err(text)?;
        let (commit, welcome, _) = bundle.into_messages();
        group.merge_pending_commit(&self.provider).map_err(text)?;
        let welcome = welcome.as_ref().map(encoded).transpose()?;
        Ok(json!({
            "commit": encoded(&commit)?,
            "welcome": welcome,
            "groupInfo": self.group_info()?["groupInfo"],
        }))
    }

    fn propose(&mut self, proposal: Propose) -> Answer<Value> {
        let group = self.group.as_mut().ok_or("no group")?;
        let (message, _) = group
            .propose(&self.provider, &self.signer, proposal, ProposalOrRefType::Reference)
            .map_err(text)?;
        Ok(json!({ "proposal": encoded(&message)? }))
    }

    fn process(&mut self, message: Bytes) -> Answer<Value> {
        let message: ProtocolMessage = match message.message()? {
            MlsMessageBodyIn::PublicMessage(message) => message.into(),
            MlsMessageBodyIn::PrivateMessage(message) => message.into(),
            _ => return Err("not a message of a group".into()),
        };
        let group = self.group.as_mut().ok_or("no group")?;
        let processed = group.process_message(&self.provider, message).map_err(text)?;
        let aad = hex::encode(processed.aad());
        let sender = match processed.sender() {
            Sender::Member(index) => json!(index.u32()),
            _ => Value::Null,
        };
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(message) => {
                let plaintext = hex::encode(message.into_bytes());
                Ok(json!({ "kind": "application", "sender": sender, "aad": aad, "plaintext": plaintext }))
            }
            ProcessedMessageContent::ProposalMessage(proposal)
            | ProcessedMessageContent::ExternalJoinProposalMessage(proposal) => {
                group
                    .store_pending_proposal(self.provider.storage(), *proposal)
                    .map_err(text)?;
                Ok(json!({ "kind": "proposal", "sender": sender, "aad": aad }))
            }
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                group.merge_staged_commit(&self.provider, *commit).map_err(text)?;
                Ok(json!({ "kind": "commit", "sender": sender, "aad": aad, "active": group.is_active() }))
            }
            _ => Err("a message of one's own".into()),
        }
    }

    fn send(&mut self, plaintext: Bytes, aad: Bytes) -> Answer<Value> {
        let group = self.group.as_mut().ok_or("no group")?;
        group.set_aad(aad.0);
        let message = group
            .create_message(&self.provider, &self.signer, &plaintext.0)
            .map_err(text)?;
        Ok(json!({ "message": encoded(&message)? }))
    }

    fn group_info(&self) -> Answer<Value> {
        let group = self.group.as_ref().ok_or("no group")?;
        let message = group
            .export_group_info(self.provider.crypto(), &self.signer, true)
            .map_err(text)?;
        Ok(json!({ "groupInfo": encoded(&message)? }))
    }

    fn state(&self) -> Answer<Value> {
        let group = self.group.as_ref().ok_or("no group")?;
        let secret = group
            .export_secret(self.provider.crypto(), "interop", b"context", 32)
            .map_err(text)?;
        let members: Vec<_> = group
            .members()
            .map(|member| json!({ "index": member.index.u32(), "signatureKey": hex::encode(member.signature_key) }))
            .collect();
        Ok(json!({
            "epoch": group.epoch().as_u64(),
            "authenticator": hex::encode(group.epoch_authenticator().as_slice()),
            "secret": hex::encode(secret),
            "context": encoded(group.public_group().group_context())?,
            "ownIndex": group.own_leaf_index().u32(),
            "members": members,
            "pending": group.pending_proposals().count(),
        }))
    }
}
