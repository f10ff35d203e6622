//! The bus emulator as a program: a bus for trying a gateway by hand.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use emulator::{Config, Emulator, Identity, Kind, Provider, Registered, Reply, RequestData, Version};
use gost::Certificate;

/// An emulated SMEV 3 bus. Kinds that nobody registered provides are answered by the emulator itself.
#[derive(Debug, Parser)]
#[command(name = "rsmev-emulator", version, about)]
struct Arguments {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:7600")]
    listen: SocketAddr,
    /// Where to write the bus's certificate (PEM), for the gateway's trusted_signers
    #[arg(long, value_name = "FILE")]
    write_certificate: PathBuf,
    /// A participant and its certificate (PEM or DER); may be repeated
    #[arg(long, value_name = "MNEMONIC=FILE", value_parser = pair)]
    participant: Vec<(String, String)>,
    /// A kind with the roots Request and Response, and who provides it; may be repeated
    #[arg(long, value_name = "NAMESPACE=MNEMONIC", value_parser = pair)]
    kind: Vec<(String, String)>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            // Nobody is left to be told if this fails.
            let _ = writeln!(std::io::stderr(), "rsmev-emulator: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), String> {
    let identity = Identity::generate("SMEV").map_err(|error| error.to_string())?;
    let mut config = Config::new(identity);
    config.listen = arguments.listen;
    for (mnemonic, file) in arguments.participant {
        let octets = std::fs::read(&file).map_err(|error| format!("{file}: {error}"))?;
        let certificate = Certificate::from_pem_or_der(&octets).map_err(|error| format!("{file}: {error}"))?;
        config.participants.push(Registered {
            name: mnemonic.clone(),
            mnemonic,
            certificates: vec![certificate],
        });
    }
    let federal: Vec<String> = arguments
        .kind
        .iter()
        .filter(|(_, provider)| !config.participants.iter().any(|known| known.mnemonic == *provider))
        .map(|(namespace, _)| namespace.clone())
        .collect();
    config.kinds = arguments
        .kind
        .iter()
        .map(|(ns, provider)| Kind::new(ns, "Request", "Response", provider))
        .collect();
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    runtime.block_on(serve(config, &federal, &arguments.write_certificate))
}

async fn serve(config: Config, federal: &[String], certificate: &std::path::Path) -> Result<(), String> {
    let listen = config.listen;
    let bus = Emulator::start(config)
        .await
        .map_err(|error| format!("{listen}: {error}"))?;
    std::fs::write(certificate, bus.certificate().to_pem())
        .map_err(|error| format!("{}: {error}", certificate.display()))?;
    for namespace in federal {
        let answer = format!(
            "<e:Response xmlns:e=\"{}\"><e:Text>ответ эмулятора</e:Text></e:Response>",
            escaped(namespace)
        );
        bus.set_provider(
            namespace,
            Provider::new(move |_: &RequestData| Reply::content(answer.clone())),
        );
    }
    for version in Version::ALL {
        // Without somebody who reads this, the bus is of use all the same.
        let _ = writeln!(std::io::stdout(), "{}", bus.url(version));
    }
    tokio::signal::ctrl_c().await.map_err(|error| error.to_string())?;
    bus.stop().await;
    Ok(())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (left, right) = text.rsplit_once('=').ok_or("it must have the form LEFT=RIGHT")?;
    Ok((left.to_owned(), right.to_owned()))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
