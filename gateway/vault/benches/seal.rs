//! What sealing and opening a body costs.
#![forbid(unsafe_code)]

use std::io;
use std::path::Path;

use divan::Bencher;
use divan::counter::BytesCount;
use jiff::Timestamp;
use vault::{BodyName, Cipher, DataKeys, KeyringStore, MasterKey, Vault};

const SIZES: [usize; 3] = [5_000, 77_000, 4_000_000];
const NAME: BodyName = BodyName {
    message: [7; 16],
    part: 1,
};

fn main() {
    divan::main();
}

/// A keyring that nobody reads again.
#[derive(Debug)]
struct Nowhere;

impl KeyringStore for Nowhere {
    fn path(&self) -> &Path {
        Path::new("/dev/null")
    }

    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn replace(&self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

fn vault(cipher: Cipher) -> Vault {
    let master = MasterKey::generate().expect("a key");
    Vault::open(
        Box::new(Nowhere),
        master,
        DataKeys::default(),
        cipher,
        0,
        Timestamp::now(),
    )
    .expect("a keyring")
}

#[divan::bench(args = SIZES, consts = [false, true])]
fn seal<const KUZNYECHIK: bool>(bencher: Bencher<'_, '_>, size: usize) {
    let vault = vault(cipher(KUZNYECHIK));
    let plain = vec![0x42; size];
    bencher
        .counter(BytesCount::new(size))
        .bench(|| vault.seal(NAME, &plain).expect("sealed"));
}

#[divan::bench(args = SIZES, consts = [false, true])]
fn open<const KUZNYECHIK: bool>(bencher: Bencher<'_, '_>, size: usize) {
    let vault = vault(cipher(KUZNYECHIK));
    let sealed = vault.seal(NAME, &vec![0x42; size]).expect("sealed");
    bencher
        .counter(BytesCount::new(size))
        .with_inputs(|| sealed.clone())
        .bench_values(|sealed| vault.open_body(NAME, sealed).expect("opened"));
}

fn cipher(kuznyechik: bool) -> Cipher {
    if kuznyechik {
        Cipher::KuznyechikMgm
    } else {
        Cipher::Aes256Gcm
    }
}
