//! A client of a call: one allocation and one channel.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use causeway_auth::Key;
use causeway_wire::attribute::{
    ChannelNumberAttribute, ErrorCodeAttribute, Nonce, Realm, RequestedTransport, Username,
    XorPeerAddress, XorRelayedAddress,
};
use causeway_wire::{
    ChannelNumber, Class, EncodeError, IntegrityKey, Message, MessageWriter, Method, TransactionId,
};
use rand::Rng;

use crate::flood::leg::Leg;
use crate::load::Transport;

/// One client with one allocation and one channel.
pub(crate) struct Client {
    pub(crate) leg: Leg,
    pub(crate) relayed: SocketAddr,
}

impl Client {
    /// Makes an allocation and binds the first channel to `peer`.
    pub(crate) fn new(
        transport: Transport,
        server: SocketAddr,
        peer: SocketAddr,
        [user, password]: [&str; 2],
    ) -> Result<Self> {
        let mut client = Self { leg: Leg::connect(transport, server)?, relayed: server };
        let requested = |w: &mut MessageWriter<'_>| w.put(&RequestedTransport::UDP).map(drop);
        let challenge = client.ask(Method::ALLOCATE, requested)?;
        let challenge = Message::decode(&challenge).ok().context("a broken answer")?;
        let nonce =
            challenge.attribute::<Nonce<'_>>().ok().flatten().context("a 401 without NONCE")?.0;
        let realm =
            challenge.attribute::<Realm<'_>>().ok().flatten().context("a 401 without REALM")?.0;
        let key = Key::long_term_md5(user, realm, password).integrity_key();
        let signed = |w: &mut MessageWriter<'_>| sign(w, [user, realm, nonce], &key);
        let answer = client.ask(Method::ALLOCATE, |w| requested(w).and_then(|()| signed(w)))?;
        client.relayed = success(&answer)?
            .attribute::<XorRelayedAddress>()
            .ok()
            .flatten()
            .context("no relayed address")?
            .0;
        let channel = ChannelNumberAttribute(ChannelNumber::FIRST.number());
        let answer = client.ask(Method::CHANNEL_BIND, |w| {
            w.put(&channel)?.put(&XorPeerAddress(peer))?;
            signed(w)
        })?;
        success(&answer)?;
        Ok(client)
    }

    fn ask(
        &mut self,
        method: Method,
        fill: impl FnOnce(&mut MessageWriter<'_>) -> Result<(), EncodeError>,
    ) -> Result<Vec<u8>> {
        let mut id = [0; 12];
        rand::rng().fill_bytes(&mut id);
        let mut buffer = [0; 1024];
        let mut writer =
            MessageWriter::new(&mut buffer, Class::Request, method, TransactionId(id))?;
        fill(&mut writer)?;
        let len = writer.finish();
        self.leg.send(&buffer[..len])?;
        let mut answer = vec![0; 2048];
        let len = self.leg.receive(&mut answer).context("no answer")?;
        answer.truncate(len);
        ensure!(answer.get(8..20) == Some(&id[..]), "an answer to another question");
        Ok(answer)
    }
}

fn sign(
    writer: &mut MessageWriter<'_>,
    [user, realm, nonce]: [&str; 3],
    key: &IntegrityKey,
) -> Result<(), EncodeError> {
    writer.put(&Username(user))?.put(&Realm(realm))?.put(&Nonce(nonce))?.integrity(key)?;
    Ok(())
}

fn success(answer: &[u8]) -> Result<Message<'_>> {
    let message = Message::decode(answer).ok().context("a broken answer")?;
    if message.class() != Class::SuccessResponse {
        let error = message.attribute::<ErrorCodeAttribute<'_>>().ok().flatten();
        bail!("{:?} refused: {:?}", message.method(), error.map(|error| error.code));
    }
    Ok(message)
}
