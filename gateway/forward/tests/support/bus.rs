//! A small bus over a real socket that does what its script says and keeps a ledger. Every call must be well signed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::names::MessageId;
use gost::{Certificate, SoftwareKey};
use smev3::Version;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use xmldsig::{Document, Limits, SignatureElement};

use super::region::key;

const V: Version = Version::V1_2;

/// What the bus does with a message that it gets.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Accept,
    /// Accepts it, and answers under a signature that nobody trusts.
    AcceptUnderAnotherKey,
    /// Takes it, says nothing and closes.
    LoseAnswer,
    Fault(&'static str),
    Unavailable,
    /// Waits until the test lets it go on, then accepts.
    Hold(Arc<tokio::sync::Notify>),
}

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) operation: String,
    pub(crate) id: String,
    pub(crate) envelope: String,
}

#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    by_kind: BTreeMap<&'static str, VecDeque<Reply>>,
    polls: VecDeque<Reply>,
    held: BTreeMap<String, VecDeque<String>>,
    signed_by_another: bool,
}

#[derive(Clone)]
pub(crate) struct Bus {
    script: Arc<Mutex<Script>>,
    ledger: watch::Sender<Vec<Call>>,
    pub(crate) key: Arc<SoftwareKey>,
    pub(crate) certificate: Certificate,
    pub(crate) other_certificate: Certificate,
    other: Arc<SoftwareKey>,
    gateway: Certificate,
}

impl Bus {
    pub(crate) fn new(gateway: &Certificate) -> Self {
        let (key, certificate) = key("bus");
        let (other, other_certificate) = self::key("impostor");
        Self {
            script: Arc::default(),
            ledger: watch::Sender::new(vec![]),
            key,
            certificate,
            other_certificate,
            other,
            gateway: gateway.clone(),
        }
    }

    /// Listens until the returned guard is dropped; then nobody does.
    pub(crate) async fn listen(&self, port: u16) -> (u16, Listening) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(([127, 0, 0, 1], port).into()).unwrap();
        let listener: TcpListener = socket.listen(64).unwrap();
        let port = listener.local_addr().unwrap().port();
        let bus = self.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let bus = bus.clone();
                connections.spawn(async move { bus.serve(stream).await });
            }
        });
        (port, Listening(task))
    }

    pub(crate) fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.script.lock().unwrap().replies.extend(replies);
    }

    /// For messages whose payload is of this kind.
    pub(crate) fn script_kind(&self, kind: &'static str, replies: impl IntoIterator<Item = Reply>) {
        self.script
            .lock()
            .unwrap()
            .by_kind
            .entry(kind)
            .or_default()
            .extend(replies);
    }

    pub(crate) fn script_polls(&self, replies: impl IntoIterator<Item = Reply>) {
        self.script.lock().unwrap().polls.extend(replies);
    }

    /// Puts a signed `T:Response` with this answer into the queue.
    pub(crate) fn hold_response(&self, id: MessageId, original: &str) {
        let (types, basic) = (V.types(), V.basic());
        let signed = format!(
            r#"<t:Response xmlns:t="{types}" xmlns:b="{basic}" Id="SIGNED_BY_SMEV"><t:OriginalMessageId>{original}</t:OriginalMessageId><t:SenderProvidedResponseData Id="S"><t:MessageID>{id}</t:MessageID><t:To>x</t:To><b:MessagePrimaryContent><r:Response xmlns:r="urn:pass"/></b:MessagePrimaryContent></t:SenderProvidedResponseData><t:MessageMetadata><t:MessageId>{id}</t:MessageId><t:MessageType>RESPONSE</t:MessageType><t:Sender><t:Mnemonic>FNS001</t:Mnemonic></t:Sender></t:MessageMetadata></t:Response>"#
        );
        self.hold("GetResponse", "ResponseMessage", &signed);
    }

    /// Puts a signed `T:Request` into the queue.
    pub(crate) fn hold_request(&self, id: MessageId, reply_to: &str) {
        let (types, basic) = (V.types(), V.basic());
        let signed = format!(
            r#"<t:Request xmlns:t="{types}" xmlns:b="{basic}" Id="SIGNED_BY_SMEV"><t:SenderProvidedRequestData Id="S"><t:MessageID>{id}</t:MessageID><b:MessagePrimaryContent><r:Request xmlns:r="urn:plan"/></b:MessagePrimaryContent></t:SenderProvidedRequestData><t:MessageMetadata><t:MessageId>{id}</t:MessageId><t:MessageType>REQUEST</t:MessageType></t:MessageMetadata><t:ReplyTo>{reply_to}</t:ReplyTo></t:Request>"#
        );
        self.hold("GetRequest", "RequestMessage", &signed);
    }

    fn hold(&self, operation: &str, wrapper: &str, signed: &str) {
        let types = V.types();
        let mut script = self.script.lock().unwrap();
        let signature = if script.signed_by_another {
            xmldsig::sign_fragment(signed, self.other.as_ref(), &self.other_certificate)
        } else {
            xmldsig::sign_fragment(signed, self.key.as_ref(), &self.certificate)
        };
        let result = format!(
            r#"<t:{operation}Response xmlns:t="{types}"><t:{wrapper}>{signed}<t:SMEVSignature>{}</t:SMEVSignature></t:{wrapper}></t:{operation}Response>"#,
            signature.unwrap()
        );
        script.held.entry(operation.to_owned()).or_default().push_back(result);
    }

    /// What is put into the queues from now on has the signature of an impostor.
    pub(crate) fn sign_as_another(&self) {
        self.script.lock().unwrap().signed_by_another = true;
    }

    /// Identifiers of the calls of an operation so far, in order.
    pub(crate) fn ids(&self, operation: &str) -> Vec<String> {
        let ledger = self.ledger.borrow();
        ledger
            .iter()
            .filter(|call| call.operation == operation)
            .map(|call| call.id.clone())
            .collect()
    }

    pub(crate) fn calls(&self, operation: &str) -> Vec<Call> {
        self.ledger
            .borrow()
            .iter()
            .filter(|call| call.operation == operation)
            .cloned()
            .collect()
    }

    /// Waits until the ledger is as wanted.
    pub(crate) async fn until(&self, wanted: impl Fn(&Bus) -> bool) {
        let mut ledger = self.ledger.subscribe();
        let wait = async {
            while !wanted(self) {
                ledger.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
        assert!(waited.is_ok(), "the bus waited in vain; it saw {:?}", self.summary());
    }

    fn summary(&self) -> Vec<(String, String)> {
        self.ledger
            .borrow()
            .iter()
            .map(|call| (call.operation.clone(), call.id.clone()))
            .collect()
    }

    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        loop {
            let (operation, envelope) = read_call(&mut stream).await?;
            let (id, reply) = self.receive(&operation, &envelope);
            if let Reply::Hold(go_on) = &reply {
                go_on.notified().await;
            }
            let (status, body) = match reply {
                Reply::LoseAnswer => return None,
                Reply::Unavailable => ("503 Service Unavailable", "<html>later</html>".to_owned()),
                Reply::Fault(name) => ("500 Internal Server Error", fault(name)),
                Reply::Accept | Reply::AcceptUnderAnotherKey | Reply::Hold(_) => {
                    let impostor = matches!(reply, Reply::AcceptUnderAnotherKey);
                    ("200 OK", envelope_of(&self.result(&operation, &id, impostor)))
                }
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await.ok()?;
            stream.write_all(body.as_bytes()).await.ok()?;
        }
    }

    fn receive(&self, operation: &str, envelope: &str) -> (String, Reply) {
        self.check_signature(envelope);
        let id = between(envelope, "MessageID>", "<").or(between(envelope, "accepted=\"true\">", "<"));
        let id = id.unwrap_or_default().to_owned();
        let mut script = self.script.lock().unwrap();
        let kind = script
            .by_kind
            .iter_mut()
            .find(|(kind, _)| envelope.contains(&format!("\"urn:{kind}\"")));
        let reply = match (operation, kind) {
            ("SendRequest" | "SendResponse", Some((_, replies))) => replies.pop_front(),
            ("SendRequest" | "SendResponse", None) => script.replies.pop_front(),
            ("GetResponse", _) => script.polls.pop_front(),
            _ => None,
        };
        drop(script);
        let call = Call {
            operation: operation.to_owned(),
            id: id.clone(),
            envelope: envelope.to_owned(),
        };
        self.ledger.send_modify(|ledger| ledger.push(call));
        (id, reply.unwrap_or(Reply::Accept))
    }

    fn check_signature(&self, envelope: &str) {
        let document = Document::parse(envelope.as_bytes(), &Limits::default()).unwrap();
        let call = document.root().children().next().unwrap().children().next().unwrap();
        let target = call.children().next().unwrap();
        let wrapper = call.only_child(V.types(), "CallerInformationSystemSignature").unwrap();
        let signature = SignatureElement::parse(wrapper.children().next().unwrap()).unwrap();
        assert_eq!(signature.certificate_der(), self.gateway.der());
        signature
            .verify(&document, target, &self.gateway.public_key().prepare())
            .unwrap();
    }

    fn result(&self, operation: &str, id: &str, impostor: bool) -> String {
        let types = V.types();
        if operation == "Ack" {
            return format!(r#"<t:AckResponse xmlns:t="{types}"/>"#);
        }
        if operation.starts_with("Get") {
            let held = self
                .script
                .lock()
                .unwrap()
                .held
                .get_mut(operation)
                .and_then(VecDeque::pop_front);
            return held.unwrap_or_else(|| format!(r#"<t:{operation}Response xmlns:t="{types}"/>"#));
        }
        let metadata = format!(
            r#"<t:MessageMetadata xmlns:t="{types}" Id="SIGNED_BY_SMEV"><t:MessageId>{id}</t:MessageId><t:Status>requestIsQueued</t:Status></t:MessageMetadata>"#
        );
        let signature = if impostor {
            xmldsig::sign_fragment(&metadata, self.other.as_ref(), &self.other_certificate)
        } else {
            xmldsig::sign_fragment(&metadata, self.key.as_ref(), &self.certificate)
        };
        format!(
            r#"<t:{operation}Response xmlns:t="{types}">{metadata}<t:SMEVSignature>{}</t:SMEVSignature></t:{operation}Response>"#,
            signature.unwrap()
        )
    }
}

pub(crate) struct Listening(tokio::task::JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn envelope_of(body: &str) -> String {
    format!(r#"<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{body}</s:Body></s:Envelope>"#)
}

fn fault(name: &str) -> String {
    let faults = V.faults();
    envelope_of(&format!(
        r#"<s:Fault><faultcode>s:Server</faultcode><faultstring>{name}!</faultstring><detail><f:{name} xmlns:f="{faults}"/></detail></s:Fault>"#
    ))
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(found, _)| found)
}

/// One HTTP request: the operation from its SOAPAction, and the body.
async fn read_call(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut octets = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&octets);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length: usize = between(&format!("{head}\r\n"), "content-length: ", "\r\n")?
                .parse()
                .unwrap();
            if body.len() >= length {
                let action = between(&text, "\"urn:", "\"")?;
                return Some((action.to_owned(), body.to_owned()));
            }
        }
        let mut chunk = [0; 8192];
        let count = stream.read(&mut chunk).await.ok()?;
        if count == 0 {
            return None;
        }
        octets.extend_from_slice(&chunk[..count]);
    }
}
