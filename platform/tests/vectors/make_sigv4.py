"""Writes sigv4.json: requests signed by botocore's own signer, so that ours is compared with a stranger's.

Run by hand when a case is added: pip install botocore && python3 make_sigv4.py > sigv4.json
"""

import datetime
import json

import botocore.auth
import botocore.compat
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

WHEN = datetime.datetime(2026, 11, 23, 18, 4, 5, tzinfo=datetime.timezone.utc)
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

JSON = {"Content-Type": "application/json"}
CASES = [
    ("send an e-mail", "ses", "eu-west-1", "POST", "/v2/email/outbound-emails", JSON, '{"FromEmailAddress":"Acme <a@b.c>"}', None),
    ("an e-mail with umlauts", "ses", "eu-west-1", "POST", "/v2/email/outbound-emails", JSON, '{"Subject":"Grüße"}', None),
    ("with a session token", "ses", "us-east-1", "GET", "/v2/email/account", {}, "", "AQoDYXdzEPT//////////wEXAMPLEtc=="),
    ("a target header", "dynamodb", "eu-west-1", "POST", "/", {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.GetItem"}, '{"TableName":"shipments"}', None),
    ("an empty path", "secretsmanager", "eu-west-1", "POST", "/", {}, "", None),
    ("query out of order", "logs", "eu-west-1", "GET", "/?b=2&a=1&a=0&B=3", {}, "", None),
    ("query with blanks and signs", "logs", "eu-west-1", "GET", "/?name=a%20b&sum=1%2B1&mail=x%40y.z&tilde=~", {}, "", None),
    ("a parameter without value", "logs", "eu-west-1", "GET", "/?flag=&x=1", {}, "", None),
    ("an encoded path is encoded again", "ses", "eu-west-1", "GET", "/v2/email/identities/ann%40example.com", {}, "", None),
    ("an encoded slash", "ses", "eu-west-1", "GET", "/v2/email/identities/a%2Fb", {}, "", None),
    ("two slashes", "service", "us-east-1", "GET", "//a//b//", {}, "", None),
    ("dot segments", "service", "us-east-1", "GET", "/a/./b/../c/", {}, "", None),
    ("above the root", "service", "us-east-1", "GET", "/../../a", {}, "", None),
    ("blanks in a header", "service", "us-east-1", "GET", "/", {"X-Note": "  a   b  c "}, "", None),
    ("headers that nobody signs", "service", "us-east-1", "GET", "/", {"User-Agent": "acme", "Expect": "100-continue", "X-Amzn-Trace-Id": "Root=1"}, "", None),
    ("S3: the path as it is sent, the body's hash as a header", "s3", "eu-west-1", "PUT", "/bucket/a%20b//c/../d", JSON, "{}", None),
]


def main():
    auth = botocore.auth
    if hasattr(auth, "get_current_datetime"):
        auth.get_current_datetime = lambda remove_tzinfo=True: WHEN.replace(tzinfo=None) if remove_tzinfo else WHEN
    out = []
    for name, service, region, method, target, headers, body, token in CASES:
        host = f"{service}.{region}.amazonaws.com"
        request = AWSRequest(method, f"https://{host}{target}", dict(headers, Host=host), body.encode())
        signer = (S3SigV4Auth if service == "s3" else SigV4Auth)(Credentials(KEY, SECRET, token), service, region)
        if service == "s3":
            request.context["payload_signing_enabled"] = True
        signer.add_auth(request)
        assert request.headers["X-Amz-Date"] == "20261123T180405Z", "the clock was not set"
        out.append({"name": name, "service": service, "region": region, "method": method, "target": target,
                    "headers": [{"name": n, "value": v} for n, v in dict(headers, Host=host).items()], "body": body,
                    "session_token": token or "", "s3": service == "s3",
                    "authorization": request.headers["Authorization"]})
    print(json.dumps({"made_with": "botocore " + botocore.__version__, "time": "2026-11-23T18:04:05Z", "access_key_id": KEY,
                      "secret_access_key": SECRET, "cases": out}, indent=1, ensure_ascii=False))


main()
