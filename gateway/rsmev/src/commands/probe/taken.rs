//! `rsmev probe poll`: asks for the next message of a queue, until one comes if that is wanted, and keeps what came.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use emulator::{Answer, Attachment, CallError, Selector, SignedCall};
use serde::Serialize;

use super::caller::{Caller, Signer};
use super::letter::{Root, root_element};
use super::message::{Message, of_notice, of_request, of_response};
use super::report::Sheet;
use super::trouble::Trouble;
use super::{Outcome, print, saved};
use crate::cli::{Output, Polled, ProbePoll};
use crate::failure::Failure;
use crate::output::{Out, remark};

/// Pauses between polls while one waits: from a second, doubled up to ten.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What a poll brought.
#[derive(Debug, Serialize)]
pub(super) struct Taken {
    message: Option<Message>,
    /// Where it was saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<String>,
    #[serde(skip)]
    attachments: Vec<Attachment>,
}

/// Carries the command out.
pub(super) fn poll(caller: &Caller, arguments: &ProbePoll, config: &Path, out: &mut Out) -> Result<(), Failure> {
    let selector = selector(arguments, config)?;
    let sign = || {
        caller.sign(|signing| match arguments.what {
            Polled::Requests => signing.sign_get_request(&selector),
            Polled::Responses => signing.sign_get_response(&selector),
            Polled::Status => signing.sign_get_status(),
        })
    };
    let mut call = sign()?;
    if arguments.caller.print {
        return print(caller, &call, out);
    }
    let until = arguments
        .wait
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut pause = FIRST_PAUSE;
    let mut heard = caller.call(&call, |answer| read(arguments.what, answer));
    while let (Ok((Taken { message: None, .. }, _)), Some(until)) = (&heard, until) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        thread::sleep(pause.min(left));
        pause = (2 * pause).min(LONGEST_PAUSE);
        call = sign()?;
        heard = caller.call(&call, |answer| read(arguments.what, answer));
    }
    let kept = match (&mut heard, &arguments.save) {
        (Ok((taken, _)), Some(dir)) => keep(taken, dir),
        _ => Ok(()),
    };
    // It was handed out, and does not come again for a while: it is shown, whatever became of the files.
    let told = tell(caller, arguments, &call, heard, out);
    kept.and(told)
}

fn selector(arguments: &ProbePoll, config: &Path) -> Result<Selector, Failure> {
    if arguments.what == Polled::Status && (arguments.r#type.is_some() || arguments.node.is_some()) {
        return Err(Failure::usage(
            "`poll status` has neither --type nor --node: GetStatus knows no filter",
        ));
    }
    if arguments.what == Polled::Status && arguments.save.is_some() {
        return Err(Failure::usage(
            "`poll status` has no --save: a notice has no identifier, payload or attachments to save",
        ));
    }
    let root = match arguments.what {
        Polled::Responses => Root::Response,
        Polled::Requests | Polled::Status => Root::Request,
    };
    let kind = arguments.r#type.as_deref().map(|kind| root_element(kind, root, config));
    let mut selector = match kind.transpose()? {
        Some((namespace, local)) => Selector::kind(namespace, local),
        None => Selector::any(),
    };
    selector.node_id = arguments.node.clone();
    Ok(selector)
}

fn keep(taken: &mut Taken, dir: &Path) -> Result<(), Failure> {
    let Some(message) = taken.message.as_mut().filter(|message| message.message_id.is_some()) else {
        return Ok(());
    };
    match saved::save(dir, message, &taken.attachments)? {
        Some(folder) => taken.saved = Some(folder.display().to_string()),
        None => remark(format_args!(
            "note: {} has this message from an earlier poll; nothing was written",
            dir.display()
        )),
    }
    Ok(())
}

fn tell(
    caller: &Caller,
    arguments: &ProbePoll,
    call: &SignedCall,
    heard: Result<(Taken, Option<Signer>), Box<Trouble>>,
    out: &mut Out,
) -> Result<(), Failure> {
    let waited_in_vain = match &heard {
        Ok((taken, _)) => taken.message.is_none() && arguments.wait.is_some(),
        Err(_) => false,
    };
    let outcome = Outcome::new(caller, call, heard);
    outcome.tell(arguments.caller.output.output, out, |taken, signer, out| {
        match &taken.message {
            Some(message) => Ok(message.sheet(signer, taken.saved.as_deref()).show(out)?),
            None => Ok(nothing(arguments, call).show(out)?),
        }
    })?;
    match waited_in_vain {
        true if arguments.caller.output.output == Output::Table => {
            Err(Failure::refused("nothing came within the time limit"))
        }
        true => Err(Failure::Said),
        false => Ok(()),
    }
}

fn nothing(arguments: &ProbePoll, call: &SignedCall) -> Sheet {
    let mut sheet = Sheet::new(format!("EMPTY  {}: nothing waits", call.operation));
    sheet.line("proves", "the connection, and that the key is registered");
    if arguments.r#type.is_some() {
        sheet.line("", "messages of other kinds may wait: --type is a filter");
    }
    if arguments.what != Polled::Status {
        sheet.line(
            "note",
            "what was handed out and not acknowledged comes again only after a while",
        );
    }
    sheet
}

fn read(what: Polled, answer: &Answer) -> Result<Taken, CallError> {
    let came = match what {
        Polled::Requests => answer.delivered_request()?.map(of_request),
        Polled::Responses => answer.delivered_response()?.map(of_response),
        Polled::Status => answer.status()?.map(|status| (of_notice(&status), Vec::new())),
    };
    let (message, attachments) = came.unzip();
    Ok(Taken {
        message,
        saved: None,
        attachments: attachments.unwrap_or_default(),
    })
}
