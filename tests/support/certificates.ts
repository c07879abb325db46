/**
 * Certificates for the tests of TLS, for the host name `localhost`, valid for a hundred years.
 * Nobody trusts them and the keys protect nothing. Made by
 *
 *     openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 \\
 *       -subj /CN=localhost -addext subjectAltName=DNS:localhost \\
 *       -addext basicConstraints=critical,CA:FALSE    (or CA:TRUE)
 */

/** A certificate and its key, in PEM. */
export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
}

/** Self-signed, and made for a server. */
export const SELF_SIGNED: TestCertificate = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBkjCCATigAwIBAgIUcOt32ohhagN5QwEPLQ7jzzM25GgwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNDEwNTIyMFoYDzIxMjYxMDMx
MTA1MjIwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARgNSMbeKEL9gB180gEa1dECzUQHwGgjYiIOo+1/YLRWvSR4+mMFUf4
hwK6ue+eTnNnCg1L5Yd0x588Qkszoaido2YwZDAdBgNVHQ4EFgQUhDbcRV+WMW9P
j2rMTwLylQHCXAwwHwYDVR0jBBgwFoAUhDbcRV+WMW9Pj2rMTwLylQHCXAwwFAYD
VR0RBA0wC4IJbG9jYWxob3N0MAwGA1UdEwEB/wQCMAAwCgYIKoZIzj0EAwIDSAAw
RQIhAIpa1/WiLIzuiRpZuiE5ReFqr17u2nmPjbGg/V8Mcg9QAiBrdMlaWj6lDuVZ
MLn+kbXZl1NE8p1kuxEoYrmZjz9m2w==
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgzhk7PCrHGcOm+WuA
XBOQIEklpGfnGjlRZkHQp+OckHWhRANCAARgNSMbeKEL9gB180gEa1dECzUQHwGg
jYiIOo+1/YLRWvSR4+mMFUf4hwK6ue+eTnNnCg1L5Yd0x588Qkszoaid
-----END PRIVATE KEY-----
`,
};

/** Self-signed, and made as an authority: what openssl makes if it is not told otherwise. */
export const SELF_SIGNED_AUTHORITY: TestCertificate = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBljCCATugAwIBAgIUCqm5EjOJAtIknTQqP1zEeE3ZXw0wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNDEwNTIyMFoYDzIxMjYxMDMx
MTA1MjIwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASfhRgOCGsmVu2t1e8zurlxb2y8MZ2i2qR9Patomm2yyUhIYwhmryuW
cgu5zmggHEpshirhen/NZMNnlCeSr/gzo2kwZzAdBgNVHQ4EFgQUAeABcJAwRmsS
gIZKvbJ8Ks9VWv0wHwYDVR0jBBgwFoAUAeABcJAwRmsSgIZKvbJ8Ks9VWv0wFAYD
VR0RBA0wC4IJbG9jYWxob3N0MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwID
SQAwRgIhAJIMyvQvxpwknT4/uvXC6+whlIo3h+EmFzg2igm5qTp0AiEAu39rq+NW
MZqMZqcvCym+RckzT4PctbhS3ErWAxkow6c=
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgD56K5lfGUMr2rnzL
WOYagnWXj2MFH+rCcG0vUmN5t5mhRANCAASfhRgOCGsmVu2t1e8zurlxb2y8MZ2i
2qR9Patomm2yyUhIYwhmryuWcgu5zmggHEpshirhen/NZMNnlCeSr/gz
-----END PRIVATE KEY-----
`,
};
