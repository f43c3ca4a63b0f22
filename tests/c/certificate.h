/* PEM to give to the library: a certificate for localhost, as in tests/certificates, and keys. */
#ifndef WSABI_TESTS_CERTIFICATE_H
#define WSABI_TESTS_CERTIFICATE_H

/* Signed with its own key. */
static const char cert_pem[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBdTCCARygAwIBAgIUOljuNmttEYoY2gLtgL73Kj4zAsgwCgYIKoZIzj0EAwIw\n"
    "ITEfMB0GA1UEAwwWcmNnZW4gc2VsZiBzaWduZWQgY2VydDAgFw03NTAxMDEwMDAw\n"
    "MDBaGA80MDk2MDEwMTAwMDAwMFowITEfMB0GA1UEAwwWcmNnZW4gc2VsZiBzaWdu\n"
    "ZWQgY2VydDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABIYVXV6jm/Nl2lEGYLJr\n"
    "viIxw+hgb7cxx02tMpy7b+PN3Y3B7DsgLuywOnXq7JXBrND6lz9n7VBBCR2f5IPF\n"
    "YgGjMDAuMCwGA1UdEQQlMCOCCWxvY2FsaG9zdIcEfwAAAYcQAAAAAAAAAAAAAAAA\n"
    "AAAAATAKBggqhkjOPQQDAgNHADBEAiAsejLwXSltKGx6GqazciVE/sChbclpd1Ni\n"
    "nAa5LfZhYQIgQQnDWGmoTZMNH0OMqw4ANjslDFWERV2sH5Xc8Kks2gY=\n"
    "-----END CERTIFICATE-----\n";

/* The private key of the certificate. */
static const char key_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg3aUyPriFTq0Kti+h\n"
    "A1PymUqPjiTc8+H7ZCRB45OH/zKhRANCAASGFV1eo5vzZdpRBmCya74iMcPoYG+3\n"
    "McdNrTKcu2/jzd2Nwew7IC7ssDp16uyVwazQ+pc/Z+1QQQkdn+SDxWIB\n"
    "-----END PRIVATE KEY-----\n";

/* Another private key. */
static const char other_key_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgqTaohuVEPIcXQrHQ\n"
    "nfEGhpQVwYMkqIrCILM/nqACv9+hRANCAATuLzaGdpFvNwJcW5+vbZCsjmO42HEP\n"
    "4FY+C/BpFvQvxAi8mMkOOmKmYf83eN+FBCLO5leuuQcazwR7FzS9D6e1\n"
    "-----END PRIVATE KEY-----\n";

#endif
