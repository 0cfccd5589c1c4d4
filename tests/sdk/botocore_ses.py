"""botocore's sesv2 client, unmodified, against the sandbox."""
import os

import botocore
import botocore.config
import botocore.exceptions
import botocore.session

port = int(os.environ["PORT"])
checks = 0


def client(secret="aws_secret"):
    session = botocore.session.Session()
    session.set_credentials("AKIASANDBOX", secret)
    return session.create_client("sesv2", region_name="eu-west-1", endpoint_url=f"http://127.0.0.1:{port + 103}",
                                 config=botocore.config.Config(retries={"total_max_attempts": 1}))


def check(condition, what):
    global checks
    if not condition:
        raise SystemExit("FAILED: " + what)
    checks += 1


def refused(code, call):
    try:
        call()
    except botocore.exceptions.ClientError as caught:
        check(caught.response["Error"]["Code"] == code, f"{code} expected, not {caught.response['Error']}")
        return
    raise SystemExit(f"FAILED: {code} was expected")


ses = client()
simple = {
    "FromEmailAddress": "Acme <no-reply@acme.example>",
    "Destination": {"ToAddresses": ["Ann <ann@example.com>"], "BccAddresses": ["archive@acme.example"]},
    "ReplyToAddresses": ["help@acme.example"],
    "Content": {"Simple": {"Subject": {"Data": "Bestellung bestätigt", "Charset": "UTF-8"},
                           "Body": {"Text": {"Data": "Danke, Ann."}, "Html": {"Data": "<p>Danke, <b>Ann</b>."}},
                           "Headers": [{"Name": "List-Unsubscribe", "Value": "<https://shop.example/u/1>"}]}},
    "EmailTags": [{"Name": "notification_id", "Value": "ntf_1"}],
    "ConfigurationSetName": "acme",
}
check(ses.send_email(**simple)["MessageId"], "Simple")
raw = b"From: no-reply@acme.example\r\nTo: ann@example.com\r\nSubject: Raw\r\n\r\nHello, Ann.\r\n"
check(ses.send_email(Content={"Raw": {"Data": raw}})["MessageId"], "Raw")
refused("MessageRejected", lambda: ses.send_email(**{**simple, "FromEmailAddress": "eve@elsewhere.example"}))
refused("BadRequestException", lambda: ses.send_email(**{**simple, "Destination": {}}))
refused("InvalidSignatureException", lambda: client("wrong").send_email(**simple))

ses.put_suppressed_destination(EmailAddress="bob@example.com", Reason="COMPLAINT")
check(ses.get_suppressed_destination(EmailAddress="bob@example.com")["SuppressedDestination"]["Reason"] == "COMPLAINT",
      "suppressed")
check(len(ses.list_suppressed_destinations()["SuppressedDestinationSummaries"]) == 1, "the list")
ses.delete_suppressed_destination(EmailAddress="bob@example.com")
refused("NotFoundException", lambda: ses.get_suppressed_destination(EmailAddress="bob@example.com"))
print(f"botocore {botocore.__version__}: {checks} checks passed")
