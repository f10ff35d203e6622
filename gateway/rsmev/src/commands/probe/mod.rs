//! `rsmev probe`: a participant's side in one command, to prove a connection, a key and a grant without the vendor's system.
//!
//! It speaks as the participants of the tests and the sandbox do, whose client is written from the protocol alone and shares
//! no envelope code with the gateway: a probe made of the gateway's own code would agree with it in its mistakes. Connections are
//! those that the gateway's links have.

mod caller;
mod letter;
mod message;
mod report;
mod saved;
mod taken;
mod trouble;
mod trouble_tls;

use std::path::Path;

use emulator::{Answer, SignedCall};
use serde::Serialize;

use crate::cli::{Output, Probe, ProbeAck, ProbeSend};
use crate::failure::Failure;
use crate::output::{Out, remark};
use caller::{Caller, Signer};
use report::Sheet;
use trouble::Trouble;

/// Carries the command out; `config` is that of a gateway that may know the kind's name.
pub(crate) fn run(command: &Probe, config: &Path, out: &mut Out) -> Result<(), Failure> {
    let caller = Caller::new(command.caller())?;
    let done = match command {
        Probe::Send(arguments) => send(&caller, arguments, config, out),
        Probe::Poll(arguments) => taken::poll(&caller, arguments, config, out),
        Probe::Ack(arguments) => ack(&caller, arguments, out),
    };
    caller.close();
    done
}

/// What became of a call.
#[derive(Debug, Serialize)]
struct Outcome<T> {
    operation: &'static str,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    /// Whether the other side did what it was asked.
    done: bool,
    /// What it answered.
    #[serde(flatten)]
    answer: Option<T>,
    /// Who signed the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<Signer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<Box<Trouble>>,
}

impl<T: Serialize> Outcome<T> {
    fn new(caller: &Caller, call: &SignedCall, heard: Result<(T, Option<Signer>), Box<Trouble>>) -> Self {
        let (answer, signer, trouble) = match heard {
            Ok((answer, signer)) => (Some(answer), signer, None),
            Err(trouble) => (None, None, Some(Box::new(trouble.of_operation(call.operation)))),
        };
        Self {
            operation: call.operation.name(),
            version: caller.version().to_string(),
            message_id: Some(call.message_id.clone()).filter(|id| !id.is_empty()),
            done: trouble.is_none(),
            answer,
            signer,
            trouble,
        }
    }

    /// Tells what became of it: JSON, or for people what `done` makes of it. Ends with an error if it was not done.
    fn tell(
        &self,
        output: Output,
        out: &mut Out,
        done: impl FnOnce(&T, Option<&Signer>, &mut Out) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match (output, &self.answer, &self.trouble) {
            (Output::Json, ..) => out.json(self)?,
            (Output::Table, Some(answer), _) => done(answer, self.signer.as_ref(), out)?,
            (Output::Table, None, Some(trouble)) => trouble.show(self.message_id.as_deref(), out)?,
            (Output::Table, None, None) => {}
        }
        if self.done { Ok(()) } else { Err(Failure::Said) }
    }
}

/// What the other side says of a message that it has accepted.
#[derive(Debug, Serialize)]
struct Accepted {
    status: Option<String>,
    sent_at: String,
}

fn send(caller: &Caller, arguments: &ProbeSend, config: &Path, out: &mut Out) -> Result<(), Failure> {
    let letter = letter::Letter::new(caller, arguments, config)?;
    if let Some(note) = letter.note() {
        remark(note);
    }
    let call = letter.sign(caller)?;
    if arguments.caller.print {
        return print(caller, &call, out);
    }
    let accepted = |answer: &Answer| {
        let receipt = answer.receipt()?;
        Ok(Accepted {
            status: receipt.metadata.status,
            sent_at: receipt.metadata.sending_timestamp,
        })
    };
    let heard = caller.call(&call, accepted);
    let outcome = Outcome::new(caller, &call, heard);
    outcome.tell(arguments.caller.output.output, out, |accepted, signer, out| {
        let mut sheet = Sheet::new(format!("ACCEPTED  {} {}", call.operation, call.message_id));
        let status = accepted.status.as_deref().unwrap_or("no status");
        sheet.line("status", format!("{status}, {}", accepted.sent_at));
        sheet.signer(signer);
        sheet.line("next", letter.next());
        Ok(sheet.show(out)?)
    })
}

/// An Ack has nothing to tell but that it was done.
#[derive(Debug, Serialize)]
struct Acknowledged {
    accepted: bool,
}

fn ack(caller: &Caller, arguments: &ProbeAck, out: &mut Out) -> Result<(), Failure> {
    let accepted = !arguments.rejected;
    let call = caller.sign(|signing| signing.sign_ack(&arguments.message.to_string(), Some(accepted)))?;
    if arguments.caller.print {
        return print(caller, &call, out);
    }
    let heard = caller.call(&call, |answer| {
        answer.acknowledged().map(|()| Acknowledged { accepted })
    });
    Outcome::new(caller, &call, heard).tell(arguments.caller.output.output, out, |_, _, out| {
        let mut sheet = Sheet::new(format!("ACKNOWLEDGED  {}", call.message_id));
        let said = match accepted {
            true => "it does not come again",
            false => "it does not come again; its operator learns that the signature did not hold (accepted=\"false\")",
        };
        sheet.line("means", said);
        Ok(sheet.show(out)?)
    })
}

/// Writes the signed call instead of sending it, and how curl sends it.
fn print(caller: &Caller, call: &SignedCall, out: &mut Out) -> Result<(), Failure> {
    out.raw(&call.body)?;
    let action = call.soap_action.as_deref().unwrap_or_default();
    let url = caller.url().unwrap_or("URL");
    remark(format_args!(
        "curl -sS -H 'Content-Type: {}' -H 'SOAPAction: \"{action}\"' --data-binary @FILE {url}",
        call.content_type
    ));
    Ok(())
}
