//! What sealing and opening a body costs.
#![forbid(unsafe_code)]

use divan::Bencher;
use divan::counter::BytesCount;
use jiff::Timestamp;
use vault::{BodyName, Cipher, MasterKey, Vault};

const SIZES: [usize; 3] = [5_000, 77_000, 4_000_000];
const NAME: BodyName = BodyName {
    message: [7; 16],
    part: 1,
};

fn main() {
    divan::main();
}

fn vault(cipher: Cipher) -> (tempfile::TempDir, Vault) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let master = MasterKey::generate().expect("a key");
    let vault = Vault::open(dir.path(), master, cipher, 0, Timestamp::now()).expect("a keyring");
    (dir, vault)
}

#[divan::bench(args = SIZES, consts = [false, true])]
fn seal<const KUZNYECHIK: bool>(bencher: Bencher<'_, '_>, size: usize) {
    let (_dir, vault) = vault(cipher(KUZNYECHIK));
    let plain = vec![0x42; size];
    bencher
        .counter(BytesCount::new(size))
        .bench(|| vault.seal(NAME, &plain).expect("sealed"));
}

#[divan::bench(args = SIZES, consts = [false, true])]
fn open<const KUZNYECHIK: bool>(bencher: Bencher<'_, '_>, size: usize) {
    let (_dir, vault) = vault(cipher(KUZNYECHIK));
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
