set -e
ec() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:"$2" -out "$1.key"; }
rsa() { openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:"$2" -out "$1.key"; }
printf '%s\n' 'basicConstraints=critical,CA:TRUE' 'keyUsage=critical,keyCertSign,cRLSign' 'subjectKeyIdentifier=hash' > authority
printf '%s\n' 'basicConstraints=critical,CA:FALSE' 'subjectAltName=DNS:turn.example.org,IP:192.0.2.1,IP:2001:db8::1' > server
# NAME ISSUER EXTENSIONS and more: a certificate for NAME.key
issue() {
  name=$1; issuer=$2; extensions=$3; shift 3
  openssl req -new -key "$name.key" -subj "/CN=Test $name" -out "$name.csr"
  openssl x509 -req -in "$name.csr" -CA "$issuer.pem" -CAkey "$issuer.key" -set_serial 7 -days 30 -extfile "$extensions" -out "$name.pem" "$@"
}
self() { openssl req -x509 -new -key "$1.key" -subj "/CN=Test $1" -days 30 -out "$1.pem" -addext subjectAltName=DNS:turn.example.org; }

ec root P-256; ec intermediate P-384; ec leaf P-256
openssl req -new -key root.key -subj '/CN=Test root' -out root.csr
openssl x509 -req -in root.csr -signkey root.key -days 40 -extfile authority -out root.pem
issue intermediate root authority
issue leaf intermediate server
cat leaf.pem intermediate.pem root.pem > chain.pem
cat chain.pem leaf.key > combined.pem
# An authority of the same name with another key.
ec namesake P-256
openssl req -new -key namesake.key -subj '/CN=Test intermediate' -out namesake.csr
openssl x509 -req -in namesake.csr -CA root.pem -CAkey root.key -set_serial 8 -days 30 -extfile authority -out namesake.pem

# Kinds of keys, each with a certificate of its own.
ec p384 P-384; rsa rsa 2048; ec p521 P-521; ec secp256k1 secp256k1; ec brainpool brainpoolP256r1; rsa rsa1024 1024
openssl genpkey -quiet -algorithm ED25519 -out ed25519.key
openssl genpkey -quiet -algorithm ED448 -out ed448.key
openssl genpkey -quiet -algorithm X25519 -out x25519.key
openssl genpkey -quiet -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out pss.key
openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit -out explicit.key
for name in p384 rsa p521 secp256k1 ed25519 pss; do self "$name"; done
openssl ecparam -name prime256v1 -genkey -out with-parameters.key && self with-parameters

# Forms of one key.
openssl ec -in leaf.key -out leaf.sec1
openssl rsa -in rsa.key -traditional -out rsa.pkcs1
openssl ec -in leaf.key -no_public -out leaf.no-public
openssl pkey -in leaf.no-public -out leaf.no-public-pkcs8
openssl ec -in leaf.key -conv_form compressed -out leaf.compressed
openssl pkcs8 -topk8 -in leaf.key -v2 aes-256-cbc -passout pass:secret -out leaf.encrypted
openssl ec -in leaf.key -aes256 -passout pass:secret -out leaf.proc-type
openssl pkey -in leaf.key -outform DER -out leaf.key.der
openssl pkey -in leaf.key -pubout -out leaf.public

# Forms of certificates.
openssl x509 -in leaf.pem -outform DER -out leaf.der
openssl x509 -in leaf.pem -text -out leaf.text
openssl x509 -in leaf.pem -trustout -addtrust serverAuth -out leaf.trusted
openssl pkcs12 -export -in chain.pem -inkey leaf.key -passout pass:secret -out leaf.p12
openssl pkcs12 -in leaf.p12 -passin pass:secret -nodes -out leaf.unpacked
openssl crl2pkcs7 -nocrl -certfile chain.pem -out chain.p7b
openssl crl2pkcs7 -nocrl -certfile chain.pem -outform DER -out chain.p7
openssl dhparam -dsaparam -out dh.pem 512

# Certificates that clients refuse.
openssl req -new -key rsa.key -subj '/CN=Test version 1' -out v1.csr
openssl x509 -req -in v1.csr -CA root.pem -CAkey root.key -set_serial 9 -days 30 -out v1.pem
cp rsa.key sha1.key; issue sha1 root server -sha1
openssl req -x509 -new -key rsa1024.key -subj '/CN=Test rsa1024' -days 30 -out rsa1024.pem
cp rsa.key small.key; issue small rsa1024 server
cat small.pem rsa1024.pem > small-chain.pem
