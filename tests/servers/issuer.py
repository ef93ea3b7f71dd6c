"""An authorization server for the tests: metadata, keys, client credentials and introspection."""

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import ec


class Issuer:
    """It gives any client a token for the subject that is the client's name."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.opaque: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.broken = False
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                known = {"/.well-known/oauth-authorization-server": issuer.metadata(),
                         "/keys": {"keys": [issuer.public_key()]}}  # fmt: skip
                self.reply(known.get(self.path))

            def do_POST(self) -> None:
                size = int(self.headers["content-length"])
                form = {k: v[0] for k, v in parse_qs(self.rfile.read(size).decode()).items()}
                issuer.asked.append(self.path)
                if self.path == "/introspect":
                    basic = base64.b64decode(self.headers["authorization"].split()[1]).decode()
                    assert basic == "server:secret-of-the-server"
                    return self.reply(issuer.opaque.get(form["token"], {"active": False}))
                name = form.get("client_id") or "service"
                if "authorization" in self.headers:
                    basic = base64.b64decode(self.headers["authorization"].split()[1]).decode()
                    name = basic.partition(":")[0]
                scope = form.get("scope", "read")
                token = issuer.token(name, scope, aud=form.get("resource", "?"))
                told = {"access_token": token, "token_type": "Bearer", "expires_in": 60}
                self.reply({**told, "scope": scope})

            def reply(self, told: Any) -> None:
                status = 500 if issuer.broken else 404 if told is None else 200
                body = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "introspection_endpoint": f"{self.url}/introspect",
            "response_types_supported": ["code"],
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }

    def public_key(self) -> dict[str, Any]:
        told = jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {**told, "kid": "k1", "alg": "ES256", "use": "sig"}

    def token(self, who: str, scope: str = "read", *, key: Any = None, **claims: Any) -> str:
        told = {"iss": self.url, "sub": who, "scope": scope, "exp": int(time.time()) + 60}
        told |= claims
        told = {name: value for name, value in told.items() if value is not None}
        return jwt.encode(told, key or self.key, "ES256", headers={"kid": "k1"})

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
