//! The engine's figures, by a small C program that is compiled into a temporary folder.

use std::process::Command;
use std::time::Duration;

/// Makes a key, then signs and verifies one digest for the given time each; prints both rates.
const PROGRAM: &str = r#"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

#define MUST(condition) do { if (!(condition)) { fprintf(stderr, "failed: %s\n", #condition); return 1; } } while (0)

int main(int argc, char **argv) {
    MUST(argc == 4 && OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL));
    double seconds = atof(argv[3]);
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *generator = EVP_PKEY_CTX_new_id(OBJ_txt2nid(argv[1]), NULL);
    MUST(generator && EVP_PKEY_keygen_init(generator) > 0);
    MUST(EVP_PKEY_CTX_ctrl_str(generator, "paramset", argv[2]) > 0 && EVP_PKEY_keygen(generator, &key) > 0);

    unsigned char digest[64], signature[128];
    size_t digest_len = strstr(argv[1], "512") ? 64 : 32, signature_len;
    memset(digest, 0x5a, sizeof digest);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);

    MUST(context && EVP_PKEY_sign_init(context) > 0);
    long count = 0;
    double start = now(), end;
    do {
        signature_len = sizeof signature;
        MUST(EVP_PKEY_sign(context, signature, &signature_len, digest, digest_len) > 0);
        count++;
    } while ((end = now()) - start < seconds);
    double sign = count / (end - start);

    MUST(EVP_PKEY_verify_init(context) > 0);
    count = 0;
    start = now();
    do {
        MUST(EVP_PKEY_verify(context, signature, signature_len, digest, digest_len) > 0);
        count++;
    } while ((end = now()) - start < seconds);
    printf("%f %f\n", sign, count / (end - start));
    return 0;
}
"#;

const CONFIGURATION: &str = include_str!("../../tests/gost_engine.cnf");

pub(crate) struct Engine(tempfile::TempDir);

impl Engine {
    /// Compiles the program and tries it.
    pub(crate) fn build() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let engine = Self(folder);
        engine.write("openssl.cnf", CONFIGURATION)?;
        engine.write("rates.c", PROGRAM)?;
        let mut compile = Command::new("cc");
        compile
            .args(["-O2", "-o", "rates", "rates.c", "-lcrypto"])
            .current_dir(engine.0.path());
        let output = compile.output().map_err(|error| format!("cc: {error}"))?;
        if !output.status.success() {
            return Err(format!("cc: {}", String::from_utf8_lossy(&output.stderr)));
        }
        engine
            .run("gost2012_256", "A", Duration::from_millis(1))
            .map(|_| engine)
    }

    /// Signatures made and signatures verified in a second, each measured for that long.
    pub(crate) fn per_second(&self, algorithm: &str, set: &str, time: Duration) -> (f64, f64) {
        self.run(algorithm, set, time).unwrap_or_else(|reason| {
            eprintln!("{algorithm} {set}: {reason}");
            (f64::NAN, f64::NAN)
        })
    }

    fn run(&self, algorithm: &str, set: &str, time: Duration) -> Result<(f64, f64), String> {
        let mut command = Command::new(self.0.path().join("rates"));
        command.args([algorithm, set, &time.as_secs_f64().to_string()]);
        let output = command.env("OPENSSL_CONF", self.0.path().join("openssl.cnf")).output();
        let output = output.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let rates = text
            .split_whitespace()
            .map(str::parse::<f64>)
            .collect::<Result<Vec<_>, _>>();
        match rates.as_deref() {
            Ok([sign, verify]) => Ok((*sign, *verify)),
            _ => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        std::fs::write(self.0.path().join(name), text).map_err(|error| error.to_string())
    }
}
