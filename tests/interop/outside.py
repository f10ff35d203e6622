"""The outside chain: XML signatures of SMEV 3 made and checked without a line of the gateway's code.

Canonical XML comes from lxml (libxml2), the SMEV transform from the PyPI package smev3transform, digests and
signatures from the openssl command with gost-engine.
"""

import base64
import os
import pathlib
import subprocess
import tempfile

from lxml import etree
from smev3Transform.transform import Smev3Transform

DS = "http://www.w3.org/2000/09/xmldsig#"
EXC = "http://www.w3.org/2001/10/xml-exc-c14n#"
SMEV = "urn://smev-gov-ru/xmldsig/transform"
ALGORITHMS = "urn:ietf:params:xml:ns:cpxmlsec:algorithms:"
# digest URI -> (signature URI, openssl digest name)
SUITES = {
    ALGORITHMS + "gostr34112012-256": (ALGORITHMS + "gostr34102012-gostr34112012-256", "md_gost12_256"),
    ALGORITHMS + "gostr34112012-512": (ALGORITHMS + "gostr34102012-gostr34112012-512", "md_gost12_512"),
}

ENGINE_CONFIGURATION = """openssl_conf = openssl_def
[openssl_def]
engines = engine_section
[engine_section]
gost = gost_section
[gost_section]
engine_id = gost
default_algorithms = ALL
[req]
distinguished_name = dn
string_mask = utf8only
[dn]
"""


class Refused(Exception):
    """A signature that the outside chain does not accept; the text says why."""


class OpenSsl:
    """The openssl command with gost-engine loaded by a configuration file of our own."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        configuration = self.folder / "engine.cnf"
        configuration.write_text(ENGINE_CONFIGURATION)
        self.environment = dict(os.environ, OPENSSL_CONF=str(configuration))

    def run(self, *arguments, data=b""):
        done = subprocess.run(
            ["openssl", *map(str, arguments)], input=data, env=self.environment, capture_output=True, timeout=60
        )
        if done.returncode != 0:
            raise Refused(f"openssl {' '.join(map(str, arguments))}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    def new_key(self, name, bits=256, parameters="A"):
        """A key and a self-signed certificate: NAME.key and NAME.crt (PEM)."""
        key, certificate = self.folder / f"{name}.key", self.folder / f"{name}.crt"
        self.run("genpkey", "-algorithm", f"gost2012_{bits}", "-pkeyopt", f"paramset:{parameters}", "-out", key)
        self.run("req", "-new", "-x509", "-key", key, "-out", certificate, "-days", 30, "-subj", f"/CN={name}/O=Interop")
        return Key(self, key, certificate, bits)


class Key:
    """A private key with its certificate."""

    def __init__(self, openssl, key, certificate, bits):
        self.openssl, self.key, self.certificate = openssl, key, certificate
        self.der = openssl.run("x509", "-in", certificate, "-outform", "DER")
        self.digest_uri = ALGORITHMS + f"gostr34112012-{bits}"

    def sign(self, octets):
        return self.openssl.run("dgst", f"-{SUITES[self.digest_uri][1]}", "-sign", self.key, data=octets)


def canonical(element):
    """Exclusive canonical XML of an element in its place."""
    return etree.tostring(element, method="c14n", exclusive=True, with_comments=False)


def reference_octets(element):
    """What a Reference with the transforms exc-c14n and SMEV digests."""
    return Smev3Transform(canonical(element)).run().encode()


def sign(openssl, key, target, wrapper):
    """Signs `target` by its Id; the ds:Signature becomes the only child of `wrapper`."""
    signature_uri, digest_name = SUITES[key.digest_uri]
    digest = openssl.run("dgst", f"-{digest_name}", "-binary", data=reference_octets(target))
    for child in list(wrapper):
        wrapper.remove(child)
    signature = etree.SubElement(wrapper, f"{{{DS}}}Signature", nsmap={"ds": DS})
    info = etree.SubElement(signature, f"{{{DS}}}SignedInfo")
    etree.SubElement(info, f"{{{DS}}}CanonicalizationMethod", Algorithm=EXC)
    etree.SubElement(info, f"{{{DS}}}SignatureMethod", Algorithm=signature_uri)
    reference = etree.SubElement(info, f"{{{DS}}}Reference", URI="#" + target.get("Id"))
    transforms = etree.SubElement(reference, f"{{{DS}}}Transforms")
    etree.SubElement(transforms, f"{{{DS}}}Transform", Algorithm=EXC)
    etree.SubElement(transforms, f"{{{DS}}}Transform", Algorithm=SMEV)
    etree.SubElement(reference, f"{{{DS}}}DigestMethod", Algorithm=key.digest_uri)
    etree.SubElement(reference, f"{{{DS}}}DigestValue").text = base64.b64encode(digest).decode()
    value = etree.SubElement(signature, f"{{{DS}}}SignatureValue")
    data = etree.SubElement(etree.SubElement(signature, f"{{{DS}}}KeyInfo"), f"{{{DS}}}X509Data")
    etree.SubElement(data, f"{{{DS}}}X509Certificate").text = base64.b64encode(key.der).decode()
    value.text = base64.b64encode(key.sign(canonical(info))).decode()


def verify(openssl, root, wrapper, target, certificate_der):
    """Checks the ds:Signature in `wrapper` over `target`, made with the key of `certificate_der`. Raises Refused."""
    signatures = wrapper.findall(f"{{{DS}}}Signature")
    if len(signatures) != 1:
        raise Refused(f"{etree.QName(wrapper).localname} has {len(signatures)} signatures")
    signature = signatures[0]
    info = signature.find(f"{{{DS}}}SignedInfo")
    references = info.findall(f"{{{DS}}}Reference")
    if len(references) != 1:
        raise Refused(f"{len(references)} references")
    uri = references[0].get("URI")
    if not uri or not uri.startswith("#"):
        raise Refused(f"reference to {uri!r}")
    same_id = [element for element in root.iter() if isinstance(element.tag, str) and element.get("Id") == uri[1:]]
    if same_id != [target]:
        raise Refused(f"{uri} does not name exactly {etree.QName(target).localname}")
    transforms = [t.get("Algorithm") for t in references[0].iter(f"{{{DS}}}Transform")]
    if transforms != [EXC, SMEV]:
        raise Refused(f"transforms {transforms}")
    if info.find(f"{{{DS}}}CanonicalizationMethod").get("Algorithm") != EXC:
        raise Refused("SignedInfo is not exclusive c14n")
    digest_uri = references[0].find(f"{{{DS}}}DigestMethod").get("Algorithm")
    if digest_uri not in SUITES:
        raise Refused(f"digest {digest_uri}")
    signature_uri, digest_name = SUITES[digest_uri]
    if info.find(f"{{{DS}}}SignatureMethod").get("Algorithm") != signature_uri:
        raise Refused("signature and digest algorithms do not belong together")
    stated = base64.b64decode(references[0].findtext(f"{{{DS}}}DigestValue"))
    if openssl.run("dgst", f"-{digest_name}", "-binary", data=reference_octets(target)) != stated:
        raise Refused(f"digest of {etree.QName(target).localname} differs")
    inside = base64.b64decode(signature.findtext(f"{{{DS}}}KeyInfo/{{{DS}}}X509Data/{{{DS}}}X509Certificate"))
    if inside != certificate_der:
        raise Refused("the certificate in KeyInfo is not the signer's")
    with tempfile.TemporaryDirectory(dir=openssl.folder) as folder:
        public, value = pathlib.Path(folder) / "public.pem", pathlib.Path(folder) / "value"
        public.write_bytes(openssl.run("x509", "-inform", "DER", "-pubkey", "-noout", data=certificate_der))
        value.write_bytes(base64.b64decode(signature.findtext(f"{{{DS}}}SignatureValue")))
        said = openssl.run("dgst", f"-{digest_name}", "-verify", public, "-signature", value, data=canonical(info))
    if b"Verified OK" not in said:
        raise Refused(f"signature of {etree.QName(target).localname}: {said!r}")
