//! The parameter sets: GOST R 34.10-2001 sets of RFC 4357 (section 11.4) and sets of RFC 7836 (appendix A).
//!
//! RFC 9215 and the practice of certificates give several of them more than one name; [`crate::Curve`] knows the names.

use crate::field::{Crandall, Modulus, Montgomery, limbs};
use crate::group::{Group, Weierstrass};
use std::sync::LazyLock;

/// Coefficients, base point and cofactor of a curve over a field of `N` limbs.
pub(crate) struct Parameters<const N: usize> {
    pub(crate) a: [u64; N],
    pub(crate) b: [u64; N],
    pub(crate) x: [u64; N],
    pub(crate) y: [u64; N],
    pub(crate) cofactor: u8,
}

/// `2^256 - 617`
type Field256 = Crandall<4, 617>;
/// `2^512 - 569`
type Field512 = Crandall<8, 569>;

macro_rules! primes {
    ($($(#[$meta:meta])* $name:ident, $limbs:literal, $hex:expr;)+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy)]
        pub(crate) struct $name;
        $(#[$meta])*
        impl Modulus<$limbs> for $name {
            const PRIME: [u64; $limbs] = limbs($hex);
        }
    )+};
}

primes! {
    OrderA, 4, "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF6C611070995AD10045841B09B761B893";
    PrimeB, 4, "8000000000000000000000000000000000000000000000000000000000000C99";
    OrderB, 4, "800000000000000000000000000000015F700CFFF1A624E5E497161BCC8A198F";
    PrimeC, 4, "9B9F605F5A858107AB1EC85E6B41C8AACF846E86789051D37998F7B9022D759B";
    OrderC, 4, "9B9F605F5A858107AB1EC85E6B41C8AA582CA3511EDDFB74F02F3A6598980BB9";
    OrderTc26A256, 4, "400000000000000000000000000000000FD8CDDFC87B6635C115AF556C360C67";
    OrderTc26A512, 8, concat!(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
        "27E69532F48D89116FF22B8D4E0560609B4B38ABFAD2B85DCACDB1411F10B275"
    );
    PrimeTc26B512, 8, concat!(
        "8000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000000000000000000000000000000000000000006F"
    );
    OrderTc26B512, 8, concat!(
        "8000000000000000000000000000000000000000000000000000000000000001",
        "49A1EC142565A545ACFDB77BD9D40CFA8B996712101BEA0EC6346C54374F25BD"
    );
    OrderTc26C512, 8, concat!(
        "3FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
        "C98CDBA46506AB004C33A9FF5147502CC8EDA9E7A769A12694623CEF47F023ED"
    );
    #[cfg(test)]
    PrimeExample256, 4, "8000000000000000000000000000000000000000000000000000000000000431";
    #[cfg(test)]
    OrderExample256, 4, "8000000000000000000000000000000150FE8A1892976154C59CFC193ACCF5B3";
    #[cfg(test)]
    PrimeExample512, 8, concat!(
        "4531ACD1FE0023C7550D267B6B2FEE80922B14B2FFB90F04D4EB7C09B5D2D15D",
        "F1D852741AF4704A0458047E80E4546D35B8336FAC224DD81664BBF528BE6373"
    );
    #[cfg(test)]
    OrderExample512, 8, concat!(
        "4531ACD1FE0023C7550D267B6B2FEE80922B14B2FFB90F04D4EB7C09B5D2D15D",
        "A82F2D7ECB1DBAC719905C5EECC423F1D86E25EDBE23C595D644AAF187E6E6DF"
    );
}

macro_rules! group {
    ($(#[$meta:meta])* $function:ident: $field:ty, $order:ty, $limbs:literal {
        a: $a:expr, b: $b:expr, x: $x:expr, y: $y:expr, cofactor: $cofactor:literal
    }) => {
        $(#[$meta])*
        pub(crate) fn $function() -> &'static dyn Group {
            static GROUP: LazyLock<Weierstrass<$field, $order, $limbs>> = LazyLock::new(|| {
                const PARAMETERS: Parameters<$limbs> = Parameters {
                    a: limbs($a),
                    b: limbs($b),
                    x: limbs($x),
                    y: limbs($y),
                    cofactor: $cofactor,
                };
                Weierstrass::new(&PARAMETERS)
            });
            &*GROUP
        }
    };
}

group!(
    /// RFC 4357 id-GostR3410-2001-CryptoPro-A-ParamSet.
    crypto_pro_a: Field256, OrderA, 4 {
        a: "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFD94",
        b: "A6",
        x: "1",
        y: "8D91E471E0989CDA27DF505A453F2B7635294F2DDF23E3B122ACC99C9E9F1E14",
        cofactor: 1
    }
);

group!(
    /// RFC 4357 id-GostR3410-2001-CryptoPro-B-ParamSet.
    crypto_pro_b: Montgomery<PrimeB, 4>, OrderB, 4 {
        a: "8000000000000000000000000000000000000000000000000000000000000C96",
        b: "3E1AF419A269A5F866A7D3C25C3DF80AE979259373FF2B182F49D4CE7E1BBC8B",
        x: "1",
        y: "3FA8124359F96680B83D1C3EB2C070E5C545C9858D03ECFB744BF8D717717EFC",
        cofactor: 1
    }
);

group!(
    /// RFC 4357 id-GostR3410-2001-CryptoPro-C-ParamSet.
    crypto_pro_c: Montgomery<PrimeC, 4>, OrderC, 4 {
        a: "9B9F605F5A858107AB1EC85E6B41C8AACF846E86789051D37998F7B9022D7598",
        b: "805A",
        x: "0",
        y: "41ECE55743711A8C3CBF3783CD08C0EE4D4DC440D4641A8F366E550DFDB3BB67",
        cofactor: 1
    }
);

group!(
    /// RFC 7836 id-tc26-gost-3410-2012-256-paramSetA.
    tc26_a_256: Field256, OrderTc26A256, 4 {
        a: "C2173F1513981673AF4892C23035A27CE25E2013BF95AA33B22C656F277E7335",
        b: "295F9BAE7428ED9CCC20E7C359A9D41A22FCCD9108E17BF7BA9337A6F8AE9513",
        x: "91E38443A5E82C0D880923425712B2BB658B9196932E02C78B2582FE742DAA28",
        y: "32879423AB1A0375895786C4BB46E9565FDE0B5344766740AF268ADB32322E5C",
        cofactor: 4
    }
);

group!(
    /// RFC 7836 id-tc26-gost-3410-2012-512-paramSetA.
    tc26_a_512: Field512, OrderTc26A512, 8 {
        a: concat!(
            "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
            "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFDC4"
        ),
        b: concat!(
            "E8C2505DEDFC86DDC1BD0B2B6667F1DA34B82574761CB0E879BD081CFD0B6265",
            "EE3CB090F30D27614CB4574010DA90DD862EF9D4EBEE4761503190785A71C760"
        ),
        x: "3",
        y: concat!(
            "7503CFE87A836AE3A61B8816E25450E6CE5E1C93ACF1ABC1778064FDCBEFA921",
            "DF1626BE4FD036E93D75E6A50E3A41E98028FE5FC235F5B889A589CB5215F2A4"
        ),
        cofactor: 1
    }
);

group!(
    /// RFC 7836 id-tc26-gost-3410-2012-512-paramSetB.
    tc26_b_512: Montgomery<PrimeTc26B512, 8>, OrderTc26B512, 8 {
        a: concat!(
            "8000000000000000000000000000000000000000000000000000000000000000",
            "000000000000000000000000000000000000000000000000000000000000006C"
        ),
        b: concat!(
            "687D1B459DC841457E3E06CF6F5E2517B97C7D614AF138BCBF85DC806C4B289F",
            "3E965D2DB1416D217F8B276FAD1AB69C50F78BEE1FA3106EFB8CCBC7C5140116"
        ),
        x: "2",
        y: concat!(
            "1A8F7EDA389B094C2C071E3647A8940F3C123B697578C213BE6DD9E6C8EC7335",
            "DCB228FD1EDF4A39152CBCAAF8C0398828041055F94CEEEC7E21340780FE41BD"
        ),
        cofactor: 1
    }
);

group!(
    /// RFC 7836 id-tc26-gost-3410-2012-512-paramSetC.
    tc26_c_512: Field512, OrderTc26C512, 8 {
        a: concat!(
            "DC9203E514A721875485A529D2C722FB187BC8980EB866644DE41C68E1430645",
            "46E861C0E2C9EDD92ADE71F46FCF50FF2AD97F951FDA9F2A2EB6546F39689BD3"
        ),
        b: concat!(
            "B4C4EE28CEBC6C2C8AC12952CF37F16AC7EFB6A9F69F4B57FFDA2E4F0DE5ADE0",
            "38CBC2FFF719D2C18DE0284B8BFEF3B52B8CC7A5F5BF0A3C8D2319A5312557E1"
        ),
        x: concat!(
            "E2E31EDFC23DE7BDEBE241CE593EF5DE2295B7A9CBAEF021D385F7074CEA043A",
            "A27272A7AE602BF2A7B9033DB9ED3610C6FB85487EAE97AAC5BC7928C1950148"
        ),
        y: concat!(
            "F5CE40D95B5EB899ABBCCFF5911CB8577939804D6527378B8C108C3D2090FF9B",
            "E18E2D33E3021ED2EF32D85822423B6304F726AA854BAE07D0396E9A9ADDC40F"
        ),
        cofactor: 4
    }
);

group!(
    /// RFC 7091 section 7.1 (id-GostR3410-2001-TestParamSet).
    #[cfg(test)]
    example_256: Montgomery<PrimeExample256, 4>, OrderExample256, 4 {
        a: "7",
        b: "5FBFF498AA938CE739B8E022FBAFEF40563F6E6A3472FC2A514C0CE9DAE23B7E",
        x: "2",
        y: "8E2A8A0E65147D4BD6316030E16D19C85C97F0A9CA267122B96ABBCEA7E8FC8",
        cofactor: 1
    }
);

group!(
    /// RFC 7091 section 7.2 (id-tc26-gost-3410-2012-512-paramSetTest).
    #[cfg(test)]
    example_512: Montgomery<PrimeExample512, 8>, OrderExample512, 8 {
        a: "7",
        b: concat!(
            "1CFF0806A31116DA29D8CFA54E57EB748BC5F377E49400FDD788B649ECA1AC43",
            "61834013B2AD7322480A89CA58E0CF74BC9E540C2ADD6897FAD0A3084F302ADC"
        ),
        x: concat!(
            "24D19CC64572EE30F396BF6EBBFD7A6C5213B3B3D7057CC825F91093A68CD762",
            "FD60611262CD838DC6B60AA7EEE804E28BC849977FAC33B4B530F1B120248A9A"
        ),
        y: concat!(
            "2BB312A43BD2CE6E0D020613C857ACDDCFBF061E91E5F2C3F32447C259F39B2C",
            "83AB156D77F1496BF7EB3351E1EE4E43DC1A18B91B24640B6DBB92CB1ADD371E"
        ),
        cofactor: 1
    }
);
