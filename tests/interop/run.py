"""Interoperability: `python run.py PATH-TO-rsmev`. A zeep client of two participants and a bus of our own writing talk to the
real binary; keys come from gost-engine; every element that the gateway signs is verified by the outside chain.

Prints one line a check and exits with 1 if anything failed."""

import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import uuid

import requests
import zeep
from lxml import etree

import outside
from bus import PREFIX, SIGNED, SOAP, Bus, local, now

VERSIONS = ("1.1", "1.2", "1.3")
LOCAL, CHECKED = "urn://interop/local/1.0.0", "urn://interop/checked/1.0.0"
PLACEHOLDER = f'<ds:Signature xmlns:ds="{outside.DS}"/>'
# zeep takes the elements of an optional sequence for mandatory unless it is told to leave them out
ANY_TYPE = {"NamespaceURI": zeep.xsd.SkipValue, "RootElementLocalName": zeep.xsd.SkipValue}
SCHEMA = f"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{CHECKED}" elementFormDefault="qualified">
  <xs:element name="Request" type="xs:int"/>
  <xs:element name="Response" type="xs:int"/>
</xs:schema>
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Checks:
    """What was checked, and what failed."""

    def __init__(self):
        self.passed = self.failed = 0

    def that(self, holds, what):
        print(f"{'ok    ' if holds else 'FAILED'} {what}", flush=True)
        self.passed, self.failed = self.passed + bool(holds), self.failed + (not holds)
        return holds


class Signing(zeep.Plugin):
    """Signs what goes out with the participant's key, verifies the gateway's signature on what comes in."""

    # element of the answer's signed part -> path of (wrapper, target) below the answer's element
    ANSWERS = {
        "SendRequestResponse": ("{*}SMEVSignature", "{*}MessageMetadata"),
        "SendResponseResponse": ("{*}SMEVSignature", "{*}MessageMetadata"),
        "GetRequestResponse": ("{*}RequestMessage/{*}SMEVSignature", "{*}RequestMessage/{*}Request"),
        "GetResponseResponse": ("{*}ResponseMessage/{*}SMEVSignature", "{*}ResponseMessage/{*}Response"),
        "GetStatusResponse": (
            "{*}SmevAsyncProcessingMessage/{*}SMEVSignature",
            "{*}SmevAsyncProcessingMessage/{*}AsyncProcessingStatusData",
        ),
    }

    def __init__(self, openssl, key, version, checks, gateway_der, senders):
        self.openssl, self.key, self.version, self.checks = openssl, key, version, checks
        self.gateway_der, self.senders = gateway_der, senders
        self.last = None

    def egress(self, envelope, http_headers, operation, binding_options):
        body = envelope.find(f"{{{SOAP}}}Body")[0]
        wrapper = body.find("{*}CallerInformationSystemSignature")
        target = next(e for e in body if e.get("Id") == "SIGNED_BY_CALLER")
        outside.sign(self.openssl, self.key, target, wrapper)
        for routing in body.findall("{*}Routing"):
            information = routing.find("{*}RoutingInformation")
            outside.sign(self.openssl, self.key, information, routing.find("{*}RoutingSignature"))
        return envelope, http_headers

    def ingress(self, envelope, http_headers, operation):
        body = envelope.find(f"{{{SOAP}}}Body")
        self.last = body[0]
        answer = local(body[0])
        if answer in self.ANSWERS and len(body[0]):
            wrapper, target = (body[0].find(path) for path in self.ANSWERS[answer])
            self.verify(envelope, wrapper, target, self.gateway_der, f"{answer}: gateway over {local(target)}")
            inner = target.find("{*}SenderInformationSystemSignature")
            if inner is not None:
                data = next(e for e in target if local(e).startswith("SenderProvided"))
                sender = target.findtext("{*}MessageMetadata/{*}Sender/{*}Mnemonic")
                der = self.senders.get(sender, self.gateway_der)
                self.verify(envelope, inner, data, der, f"{answer}: {sender} over {local(data)}")
        return envelope, http_headers

    def verify(self, envelope, wrapper, target, der, what):
        try:
            outside.verify(self.openssl, envelope, wrapper, target, der)
            self.checks.that(True, f"{self.version} {what}")
        except (outside.Refused, AttributeError) as refused:
            self.checks.that(False, f"{self.version} {what}: {refused}")


class Participant:
    """A participant's system: zeep with our WSDL and a signing plugin."""

    def __init__(self, base, version, plugin):
        self.version, self.plugin = version, plugin
        self.client = zeep.Client(f"{base}/smev/v{version}/ws?wsdl", plugins=[plugin])
        self.service = self.client.service
        self.types, self.basic = f"{PREFIX}/{version}", f"{PREFIX}/basic/{version}"

    def signature(self):
        return {"_value_1": etree.fromstring(PLACEHOLDER)}

    def any(self, xml):
        return {"_value_1": etree.fromstring(xml)}

    def send_request(self, payload, routing=None):
        message_id = str(uuid.uuid1())
        data = {"Id": "SIGNED_BY_CALLER", "MessageID": message_id, "TransactionCode": str(uuid.uuid4()),
                "MessagePrimaryContent": self.any(payload)}
        extra = {}
        if routing:
            extra["Routing"] = {
                "RoutingInformation": {"Id": "SIGNED_ROUTING", "MessageID": message_id,
                                       "DynamicRouting": {"DynamicValue": [routing]}},
                "RoutingSignature": self.signature(),
            }
        self.service.SendRequest(
            SenderProvidedRequestData=data, CallerInformationSystemSignature=self.signature(), **extra
        )
        return message_id

    def send_response(self, to, payload):
        message_id = str(uuid.uuid1())
        self.service.SendResponse(
            SenderProvidedResponseData={"Id": "SIGNED_BY_CALLER", "MessageID": message_id, "To": to,
                                        "MessagePrimaryContent": self.any(payload)},
            CallerInformationSystemSignature=self.signature(),
        )
        return message_id

    def get(self, operation, wait=15):
        """Polls until there is a message; the element of the answer, or None."""
        until = time.monotonic() + wait
        while True:
            getattr(self.service, operation)(
                MessageTypeSelector={"Id": "SIGNED_BY_CALLER", "Timestamp": now(), **ANY_TYPE},
                CallerInformationSystemSignature=self.signature(),
            )
            if len(self.plugin.last) or time.monotonic() > until:
                return self.plugin.last if len(self.plugin.last) else None
            time.sleep(0.1)

    def get_status(self):
        self.service.GetStatus(
            Timestamp={"_value_1": now(), "Id": "SIGNED_BY_CALLER"}, CallerInformationSystemSignature=self.signature()
        )
        return self.plugin.last

    def ack(self, message_id):
        self.service.Ack(
            AckTargetMessage={"_value_1": message_id, "Id": "SIGNED_BY_CALLER", "accepted": True},
            CallerInformationSystemSignature=self.signature(),
        )


def write_region(folder, upstream_port):
    """Configuration and registry; returns the door's base address, the admin address and the registry file."""
    door, admin = free_port(), free_port()
    upstreams = "".join(
        f"""
[[upstream]]
name = "bus{version}"
url = "http://127.0.0.1:{upstream_port}/smev/v{version}/ws"
version = "{version}"
trusted_signers = ["{folder}/bus.crt"]
poll = {{ min = "100ms", max = "500ms" }}
"""
        for version in VERSIONS
    )
    (folder / "gateway.toml").write_text(
        f"""[node]
mnemonic = "RSMEV73"
name = "Interop"
data_dir = "{folder}/data"
[keys]
private_key = "{folder}/gateway.key"
certificate = "{folder}/gateway.crt"
[smev3]
listen = "127.0.0.1:{door}"
public_url = "http://127.0.0.1:{door}"
[admin]
listen = "127.0.0.1:{admin}"
socket = "{folder}/admin.sock"
{upstreams}"""
    )
    (folder / "checked.xsd").write_text(SCHEMA)
    kinds = [("local", LOCAL, ""), ("checked", CHECKED, 'schema = "checked.xsd"')]
    kinds += [(f"federal{v}", f"urn://interop/federal{v}/1.0.0", "") for v in VERSIONS]
    text = ""
    for mnemonic in ("CONS", "PROV"):
        text += f'[[participant]]\nmnemonic = "{mnemonic}"\nname = "{mnemonic}"\ncertificates = ["{mnemonic}.crt"]\n'
    for name, namespace, schema in kinds:
        text += (
            f'[[kind]]\nname = "{name}"\nnamespace = "{namespace}"\nrequest = "Request"\nresponse = "Response"\n{schema}\n'
        )
        text += f'[[grant]]\nparticipant = "CONS"\nkind = "{name}"\nmay = ["request"]\n'
        if name in ("local", "checked"):
            text += f'[[grant]]\nparticipant = "PROV"\nkind = "{name}"\nmay = ["provide"]\n'
            text += f'[[route]]\nkind = "{name}"\nto = "PROV"\n'
        else:
            text += f'[[grant]]\nupstream = "bus{name[7:]}"\nkind = "{name}"\nmay = ["provide"]\n'
            text += f'[[route]]\nkind = "{name}"\nupstream = "bus{name[7:]}"\n'
    for version in VERSIONS:
        text += f'[[grant]]\nupstream = "bus{version}"\nkind = "local"\nmay = ["request"]\n'
    registry = folder / "region.toml"
    registry.write_text(text)
    return f"http://127.0.0.1:{door}", f"http://127.0.0.1:{admin}", registry


def exchange(checks, version, consumer, provider):
    """Everything between two participants in one version."""
    request = consumer.send_request(f'<Request xmlns="{LOCAL}">есть?</Request>')
    got = provider.get("GetRequest")
    if not checks.that(got is not None, f"{version} the request arrives"):
        return
    delivered = got.find("{*}RequestMessage/{*}Request")
    checks.that(
        delivered.findtext("{*}SenderProvidedRequestData/{*}MessageID") == request, f"{version} under its own identifier"
    )
    reply_to = delivered.findtext("{*}ReplyTo")
    provider.ack(request)
    answer = provider.send_response(reply_to, f'<Response xmlns="{LOCAL}">есть</Response>')
    got = consumer.get("GetResponse")
    response = got.find("{*}ResponseMessage/{*}Response")
    checks.that(response.findtext("{*}OriginalMessageId") == request, f"{version} the answer names the request")
    checks.that(response.find("{*}OriginalTransactionCode") is not None, f"{version} the answer carries TransactionCode")
    consumer.ack(answer)
    try:
        consumer.ack(answer)
        checks.that(False, f"{version} a second Ack is refused")
    except zeep.exceptions.Fault as fault:
        checks.that("TargetMessageIsNotFound" in etree.tostring(fault.detail).decode(), f"{version} a second Ack is refused")

    rejected = consumer.send_request(f'<Request xmlns="{CHECKED}">not a number</Request>')
    notice = consumer.get("GetResponse").find("{*}ResponseMessage/{*}Response")
    status = notice.find("{*}SenderProvidedResponseData/{*}AsyncProcessingStatus")
    checks.that(
        status is not None
        and status.findtext("{*}OriginalMessageId") == rejected
        and status.findtext("{*}StatusCategory") == "requestIsRejectedBySmev",
        f"{version} a payload that fails its schema is rejected with a notice",
    )
    consumer.ack(notice.findtext("{*}SenderProvidedResponseData/{*}MessageID"))

    asked = consumer.send_request(f'<Request xmlns="{CHECKED}">7</Request>')
    got = provider.get("GetRequest")
    provider.ack(asked)
    bad = provider.send_response(got.findtext("{*}RequestMessage/{*}Request/{*}ReplyTo"), f'<Response xmlns="{CHECKED}">x</Response>')
    status = provider.get_status()
    original = status.findtext("{*}SmevAsyncProcessingMessage/{*}AsyncProcessingStatusData/{*}AsyncProcessingStatus/{*}OriginalMessageId")
    checks.that(original == bad, f"{version} GetStatus tells of an answer that fails its schema")

    try:
        provider.send_response("nowhere", f'<Response xmlns="{LOCAL}">x</Response>')
        checks.that(False, f"{version} an unknown To is refused")
    except zeep.exceptions.Fault as fault:
        checks.that("RecipientIsNotFound" in etree.tostring(fault.detail).decode(), f"{version} an unknown To is refused")
    if version == "1.1":
        provider.service.GetIncomingQueueStatistics(
            Timestamp={"_value_1": now(), "Id": "SIGNED_BY_CALLER"}, CallerInformationSystemSignature=provider.signature()
        )
        checks.that(local(provider.plugin.last) == "GetIncomingQueueStatisticsResponse", "1.1 queue statistics")


def through_the_bus(checks, version, bus, consumer, provider):
    """North and back, and from the bus into the region."""
    kind = f"urn://interop/federal{version}/1.0.0"
    request = consumer.send_request(f'<Request xmlns="{kind}">вопрос</Request>', "73" if version == "1.3" else None)
    got = consumer.get("GetResponse", wait=30)
    if checks.that(got is not None, f"{version} an answer comes back from the bus"):
        response = got.find("{*}ResponseMessage/{*}Response")
        checks.that(response.findtext("{*}OriginalMessageId") == request, f"{version} … under the sender's identifier")
        consumer.ack(response.findtext("{*}SenderProvidedResponseData/{*}MessageID"))

    pushed, reply_to = bus.push_request(version, f'<Request xmlns="{LOCAL}">из центра</Request>')
    got = provider.get("GetRequest", wait=30)
    if checks.that(got is not None, f"{version} a request from the bus arrives"):
        provider.ack(pushed)
        provider.send_response(
            got.findtext("{*}RequestMessage/{*}Request/{*}ReplyTo"), f'<Response xmlns="{LOCAL}">в центр</Response>'
        )
        until = time.monotonic() + 30
        while time.monotonic() < until and not any(s[0] == version and s[1] == "RESPONSE" for s in bus.sent):
            time.sleep(0.1)
        answers = [s for s in bus.sent if s[0] == version and s[1] == "RESPONSE"]
        checks.that(len(answers) == 1 and answers[0][3] == reply_to, f"{version} its answer goes north with the bus's ReplyTo")
        checks.that(pushed in bus.acknowledged, f"{version} the request is acknowledged to the bus")


def wait_ready(admin, process):
    for _ in range(300):
        if process.poll() is not None:
            return False
        try:
            if requests.get(f"{admin}/ready", timeout=2).status_code == 200:
                return True
        except requests.RequestException:
            pass
        time.sleep(0.1)
    return False


def main(binary):
    checks = Checks()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        openssl = outside.OpenSsl(folder)
        gateway = openssl.new_key("gateway")
        bus_key = openssl.new_key("bus", bits=512)
        keys = {"CONS": openssl.new_key("CONS", parameters="TCA"), "PROV": openssl.new_key("PROV", bits=512, parameters="B")}
        for file in folder.glob("*.key"):
            file.chmod(0o600)
        bus = Bus(openssl, bus_key, gateway.der)
        base, admin, registry = write_region(folder, bus.port)
        config = ["--config", str(folder / "gateway.toml")]
        log = open(folder / "gateway.log", "w+")
        process = subprocess.Popen([binary, "serve", *config], stdout=log, stderr=subprocess.STDOUT)
        try:
            if not checks.that(wait_ready(admin, process), "the gateway starts with keys made by gost-engine"):
                return 1
            applied = subprocess.run([binary, "registry", "apply", str(registry), *config], capture_output=True, text=True)
            if not checks.that(applied.returncode == 0, f"the registry applies {applied.stderr.strip()}"):
                return 1
            senders = {mnemonic: key.der for mnemonic, key in keys.items()}
            senders.update({"FED01": bus_key.der, "FED02": bus_key.der})
            for version in VERSIONS:
                who = [
                    Participant(base, version, Signing(openssl, keys[m], version, checks, gateway.der, senders))
                    for m in ("CONS", "PROV")
                ]
                exchange(checks, version, *who)
                through_the_bus(checks, version, bus, *who)
            for what, count in sorted(bus.verified.items()):
                checks.that(True, f"{what}: {count} verified")
            for failure in bus.failures[:20]:
                checks.that(False, failure)
            expected = {f"{v} north {e} in {o}" for v in VERSIONS for o, e in SIGNED.items()}
            expected.add("1.3 north RoutingInformation")
            missing = expected - bus.verified.keys()
            checks.that(not missing, f"every kind of element that goes north was seen {sorted(missing) or ''}")
        except Exception as error:  # the log below says what the gateway thought of it
            checks.that(False, f"stopped by {type(error).__name__}: {error}")
            traceback.print_exc()
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                checks.that(process.wait(timeout=30) == 0, "the gateway stops cleanly")
            except subprocess.TimeoutExpired:
                process.kill()
                checks.that(False, "the gateway stops within 30 s")
            if checks.failed:
                log.seek(0)
                print(log.read()[-6000:])
    print(f"interop: {checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
