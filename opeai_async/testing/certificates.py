"""A key and certificates for TLS in tests. They protect nothing: the key is here for everybody to read."""

from __future__ import annotations

from opeai_async._io.net.parts.certificate import KEY, LOCALHOST

__all__ = ["ELSEWHERE", "EXPIRED", "KEY", "LOCALHOST"]

ELSEWHERE = """\
-----BEGIN CERTIFICATE-----
MIIBbzCCARagAwIBAgIBAzAKBggqhkjOPQQDAjAZMRcwFQYDVQQDDA5lbHNld2hl
cmUudGVzdDAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowGTEXMBUG
A1UEAwwOZWxzZXdoZXJlLnRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ4
jBeJuJp7zrtD8YU5+KvTGKqLOXr8Ve94EsH4YMxiJQb3csvpJ4pRGgLjkVUeKvC3
APOhVPewR31ICNlZXCKFo00wSzAZBgNVHREEEjAQgg5lbHNld2hlcmUudGVzdDAP
BgNVHRMBAf8EBTADAQH/MB0GA1UdDgQWBBQzQRgfW2TKonT16aG8/mny1G0I9TAK
BggqhkjOPQQDAgNHADBEAiAoacvaLsN/8Vs5LgSkuJo7p+yOveOH8UpF8sD+wAW+
wAIgIIQTMLSe3Z3qgvkKajS9MAt3YtZwZPUbTb5TQTdv/JY=
-----END CERTIFICATE-----
"""
"""The same for elsewhere.test."""

EXPIRED = """\
-----BEGIN CERTIFICATE-----
MIIBXzCCAQWgAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwHhcNMjAwMTAxMDAwMDAwWhcNMjAwMTAyMDAwMDAwWjAUMRIwEAYDVQQDDAls
b2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ4jBeJuJp7zrtD8YU5
+KvTGKqLOXr8Ve94EsH4YMxiJQb3csvpJ4pRGgLjkVUeKvC3APOhVPewR31ICNlZ
XCKFo0gwRjAUBgNVHREEDTALgglsb2NhbGhvc3QwDwYDVR0TAQH/BAUwAwEB/zAd
BgNVHQ4EFgQUM0EYH1tkyqJ09emhvP5p8tRtCPUwCgYIKoZIzj0EAwIDSAAwRQIh
AN3dYODa8Mt3JzCxfkLWlch5a+F3P4gbez3hEt37eTZTAiAQhs9XZVJ/h5Ob4Zr7
gklHXHSRnG62sDmv18S2pmwssw==
-----END CERTIFICATE-----
"""
"""For localhost, for one day of 2020, signed by itself."""
