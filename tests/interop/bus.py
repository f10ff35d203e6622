"""A bus in a hundred lines: takes what the gateway sends north, checks every signature by the outside chain, and has one
request and one answer of its own to hand over. Nothing in it comes from the gateway."""

import base64
import datetime
import http.server
import re
import threading
import uuid

from lxml import etree

import outside

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
PREFIX = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types"
# operation -> (signed element, its parent relative to the operation's element)
SIGNED = {
    "SendRequestRequest": "SenderProvidedRequestData",
    "SendResponseRequest": "SenderProvidedResponseData",
    "GetRequestRequest": "MessageTypeSelector",
    "GetResponseRequest": "MessageTypeSelector",
    "GetStatusRequest": "Timestamp",
    "AckRequest": "AckTargetMessage",
}


def now():
    return datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=3))).isoformat(timespec="milliseconds")


def local(element):
    return etree.QName(element).localname


class Bus:
    """Listens on loopback; `verified` counts what was checked, `failures` holds what did not verify."""

    def __init__(self, openssl, key, gateway_der):
        self.openssl, self.key, self.gateway_der = openssl, key, gateway_der
        self.lock = threading.Lock()
        self.verified, self.failures, self.sent, self.acknowledged = {}, [], [], []
        self.requests, self.responses = {}, {}  # version -> list of envelopes that wait
        bus = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = bus.answer(body, self.headers.get("Content-Type", ""))
                self.send_response(200)
                self.send_header("Content-Type", "text/xml; charset=UTF-8")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, body, content_type):
        if content_type.startswith("multipart/"):
            body = re.search(rb"<(?:\w+:)?Envelope.*?</(?:\w+:)?Envelope>", body, re.S).group(0)
        root = etree.fromstring(body)
        operation = root.find(f"{{{SOAP}}}Body")[0]
        name, version = local(operation), etree.QName(operation).namespace.rsplit("/", 1)[1]
        with self.lock:
            self.check(root, operation, name, version)
            inner = getattr(self, "on_" + name)(operation, version)
        return (f'<soap:Envelope xmlns:soap="{SOAP}"><soap:Body>{inner}</soap:Body></soap:Envelope>').encode()

    def check(self, root, operation, name, version):
        target = next(e for e in operation if local(e) == SIGNED[name])
        wrapper = next(e for e in operation if local(e) == "CallerInformationSystemSignature")
        self.try_verify(root, wrapper, target, f"{version} north {local(target)} in {name}")
        for routing in operation.findall("{*}Routing"):
            information = routing.find("{*}RoutingInformation")
            self.try_verify(root, routing.find("{*}RoutingSignature"), information, f"{version} north RoutingInformation")

    def try_verify(self, root, wrapper, target, what):
        try:
            outside.verify(self.openssl, root, wrapper, target, self.gateway_der)
            self.verified[what] = self.verified.get(what, 0) + 1
        except outside.Refused as refused:
            self.failures.append(f"{what}: {refused}")

    def signed(self, xml, wrapper_path, target_path):
        root = etree.fromstring(xml)
        outside.sign(self.openssl, self.key, root.find(target_path), root.find(wrapper_path))
        return etree.tostring(root, encoding="unicode")

    def signed_delivery(self, xml):
        """Signs what is handed over: the sender's data first, then the message around it, as the bus."""
        root = etree.fromstring(xml)
        envelope = root[0]
        message = envelope[0]
        data = next(e for e in message if local(e).startswith("SenderProvided"))
        outside.sign(self.openssl, self.key, data, message.find("{*}SenderInformationSystemSignature"))
        outside.sign(self.openssl, self.key, message, envelope.find("{*}SMEVSignature"))
        return etree.tostring(root, encoding="unicode")

    def metadata(self, version, message_id, kind, sender, recipient, status):
        name = "" if version == "1.2" else f"<HumanReadableName>{sender}</HumanReadableName>"
        names = "" if version == "1.2" else f"<HumanReadableName>{recipient}</HumanReadableName>"
        early = "<DestinationName>unknown</DestinationName>" if version == "1.1" else ""
        extra = (
            "<SupplementaryData><DetectedContentTypeName>not detected</DetectedContentTypeName>"
            "<InteractionType>NotDetected</InteractionType></SupplementaryData>"
            if version == "1.1"
            else ""
        )
        return (
            f"<MessageId>{message_id}</MessageId><MessageType>{kind}</MessageType>"
            f"<Sender><Mnemonic>{sender}</Mnemonic>{name}</Sender><SendingTimestamp>{now()}</SendingTimestamp>{early}"
            f"<Recipient><Mnemonic>{recipient}</Mnemonic>{names}</Recipient>{extra}<Status>{status}</Status>"
        )

    def send_answer(self, operation, version, name, kind):
        data = next(e for e in operation if local(e).startswith("SenderProvided"))
        message_id = data.findtext("{*}MessageID")
        self.sent.append((version, kind, message_id, data.findtext("{*}To")))
        xml = (
            f'<{name} xmlns="{PREFIX}/{version}"><MessageMetadata Id="SIGNED_BY_SMEV">'
            f'{self.metadata(version, message_id, kind, "RSMEV73", "FED01", "requestIsQueued")}'
            f"</MessageMetadata><SMEVSignature/></{name}>"
        )
        return self.signed(xml, "{*}SMEVSignature", "{*}MessageMetadata")

    def on_SendRequestRequest(self, operation, version):
        answer = self.send_answer(operation, version, "SendRequestResponse", "REQUEST")
        message_id = operation.findtext("{*}SenderProvidedRequestData/{*}MessageID")
        self.responses.setdefault(version, []).append(self.response(version, message_id))
        return answer

    def on_SendResponseRequest(self, operation, version):
        return self.send_answer(operation, version, "SendResponseResponse", "RESPONSE")

    def on_GetRequestRequest(self, _, version):
        waiting = self.requests.get(version, [])
        return waiting[0] if waiting else f'<GetRequestResponse xmlns="{PREFIX}/{version}"/>'

    def on_GetResponseRequest(self, _, version):
        waiting = self.responses.get(version, [])
        return waiting[0] if waiting else f'<GetResponseResponse xmlns="{PREFIX}/{version}"/>'

    def on_GetStatusRequest(self, _, version):
        return f'<GetStatusResponse xmlns="{PREFIX}/{version}"/>'

    def on_AckRequest(self, operation, version):
        target = operation.findtext("{*}AckTargetMessage").strip()
        self.acknowledged.append(target)
        for waiting in (self.requests, self.responses):
            waiting[version] = [xml for xml in waiting.get(version, []) if target not in xml]
        return f'<AckResponse xmlns="{PREFIX}/{version}"/>'

    def push_request(self, version, payload):
        """A federal consumer's request into the region; returns its MessageID and ReplyTo."""
        message_id = str(uuid.uuid1())
        reply_to = base64.b64encode(f'{{"sid":1,"mid":"{message_id}","eol":0,"mnm":"FED02"}}'.encode()).decode()
        xml = (
            f'<GetRequestResponse xmlns="{PREFIX}/{version}" xmlns:b="{PREFIX}/basic/{version}"><RequestMessage>'
            f'<Request Id="SIGNED_BY_SMEV"><SenderProvidedRequestData Id="SIGNED_BY_CONSUMER">'
            f"<MessageID>{message_id}</MessageID><b:MessagePrimaryContent>{payload}</b:MessagePrimaryContent>"
            f'</SenderProvidedRequestData><MessageMetadata>'
            f'{self.metadata(version, message_id, "REQUEST", "FED02", "RSMEV73", "requestIsAcceptedBySmev")}'
            f"</MessageMetadata><ReplyTo>{reply_to}</ReplyTo><SenderInformationSystemSignature/></Request>"
            f"<SMEVSignature/></RequestMessage></GetRequestResponse>"
        )
        delivery = self.signed_delivery(xml)
        with self.lock:
            self.requests.setdefault(version, []).append(delivery)
        return message_id, reply_to

    def response(self, version, original):
        """The federal provider's answer to a request that the gateway sent."""
        message_id = str(uuid.uuid1())
        xml = (
            f'<GetResponseResponse xmlns="{PREFIX}/{version}" xmlns:b="{PREFIX}/basic/{version}"><ResponseMessage>'
            f'<Response Id="SIGNED_BY_SMEV"><OriginalMessageId>{original}</OriginalMessageId>'
            f'<SenderProvidedResponseData Id="SIGNED_BY_PROVIDER"><MessageID>{message_id}</MessageID><To>x</To>'
            f'<b:MessagePrimaryContent><Response xmlns="urn://interop/federal{version}/1.0.0">да</Response>'
            f"</b:MessagePrimaryContent></SenderProvidedResponseData><MessageMetadata>"
            f'{self.metadata(version, message_id, "RESPONSE", "FED01", "RSMEV73", "responseIsAcceptedBySmev")}'
            f"</MessageMetadata><SenderInformationSystemSignature/></Response><SMEVSignature/></ResponseMessage>"
            f"</GetResponseResponse>"
        )
        return self.signed_delivery(xml)
