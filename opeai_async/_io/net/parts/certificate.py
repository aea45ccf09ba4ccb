"""A key and a certificate for TLS with oneself. They protect nothing: the key is here for everybody to read.

The self-test shakes hands with them in memory; the testing server shows them on loopback.
"""

from __future__ import annotations

KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgACeHZCximCgiqcEg
xcHDcefOr//CtWQ9g0Q5HD3yX/qhRANCAAQ4jBeJuJp7zrtD8YU5+KvTGKqLOXr8
Ve94EsH4YMxiJQb3csvpJ4pRGgLjkVUeKvC3APOhVPewR31ICNlZXCKF
-----END PRIVATE KEY-----
"""

LOCALHOST = """\
-----BEGIN CERTIFICATE-----
MIIBYTCCAQegAwIBAgIBAjAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABDiMF4m4mnvOu0Px
hTn4q9MYqos5evxV73gSwfhgzGIlBvdyy+knilEaAuORVR4q8LcA86FU97BHfUgI
2VlcIoWjSDBGMBQGA1UdEQQNMAuCCWxvY2FsaG9zdDAPBgNVHRMBAf8EBTADAQH/
MB0GA1UdDgQWBBQzQRgfW2TKonT16aG8/mny1G0I9TAKBggqhkjOPQQDAgNIADBF
AiAPLEg2oXiQyd0pK4X+dP5k8ytjxUsKedamDtMTI8HngAIhAJqe7ozEA2FD3fIs
0CTRK+jGbmaEyX7ewEU2tsoHqZTq
-----END CERTIFICATE-----
"""
"""For localhost, from 2020 to 2120, signed by itself."""
