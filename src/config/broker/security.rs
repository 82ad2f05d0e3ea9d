//! Keys of TLS, SASL and principals. Names, types, presets, bounds and scopes are those of Kafka 4.3. Holds rows only.

use crate::config::key::row::*;
use crate::config::key::{ConfigKey, keys};

pub(super) const SECURITY: &[ConfigKey] = keys! {
    "principal.builder.class", Class, Is("org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"), Any, Medium, PerBroker, Missing:
        "The Java class that names who is behind a connection.";
    "sasl.client.callback.handler.class", Class, Null, Any, Medium, ReadOnly, Missing:
        "The Java class for the client's side of SASL.";
    "sasl.enabled.mechanisms", List, Is("GSSAPI"), LIST, Medium, PerBroker, Missing:
        "The SASL mechanisms that are offered.";
    "sasl.jaas.config", Password, Null, Any, Medium, PerBroker, Missing:
        "The users and passwords of a SASL mechanism, in the JAAS form.";
    "sasl.kerberos.kinit.cmd", String, Is("/usr/bin/kinit"), Any, Medium, PerBroker, Missing:
        "The program that gets Kerberos tickets.";
    "sasl.kerberos.min.time.before.relogin", Long, Is("60000"), Any, Medium, PerBroker, Missing:
        "The least milliseconds between two logins to Kerberos.";
    "sasl.kerberos.principal.to.local.rules", List, Is("DEFAULT"), LIST, Medium, PerBroker, Missing:
        "How a Kerberos principal becomes a user's name.";
    "sasl.kerberos.service.name", String, Null, Any, Medium, PerBroker, Missing:
        "The Kerberos name under which the broker runs.";
    "sasl.kerberos.ticket.renew.jitter", Double, Is("0.05"), Any, Medium, PerBroker, Missing:
        "The most that is added at random to the renewal time.";
    "sasl.kerberos.ticket.renew.window.factor", Double, Is("0.8"), Any, Medium, PerBroker, Missing:
        "The share of a ticket's life after which it is renewed.";
    "sasl.login.callback.handler.class", Class, Null, Any, Medium, ReadOnly, Missing:
        "The Java class for logging in.";
    "sasl.login.class", Class, Null, Any, Medium, ReadOnly, Missing:
        "The Java class that logs in.";
    "sasl.login.connect.timeout.ms", Int, Null, Any, Low, ReadOnly, Missing:
        "How long connecting to the authentication server may take.";
    "sasl.login.read.timeout.ms", Int, Null, Any, Low, ReadOnly, Missing:
        "How long reading from the authentication server may take.";
    "sasl.login.refresh.buffer.seconds", Short, Is("300"), Any, Medium, PerBroker, Missing:
        "Seconds before a token's end in which it is not renewed.";
    "sasl.login.refresh.min.period.seconds", Short, Is("60"), Any, Medium, PerBroker, Missing:
        "The least seconds between two renewals of a token.";
    "sasl.login.refresh.window.factor", Double, Is("0.8"), Any, Medium, PerBroker, Missing:
        "The share of a token's life after which it is renewed.";
    "sasl.login.refresh.window.jitter", Double, Is("0.05"), Any, Medium, PerBroker, Missing:
        "The most that is added at random to sasl.login.refresh.window.factor.";
    "sasl.login.retry.backoff.max.ms", Long, Is("10000"), Any, Low, ReadOnly, Missing:
        "The longest pause before the authentication server is asked again.";
    "sasl.login.retry.backoff.ms", Long, Is("100"), Any, Low, ReadOnly, Missing:
        "Pause before the authentication server is asked again.";
    "sasl.mechanism.controller.protocol", String, Is("GSSAPI"), Any, High, ReadOnly, Missing:
        "The SASL mechanism that is used towards controllers.";
    "sasl.mechanism.inter.broker.protocol", String, Is("GSSAPI"), Any, Medium, PerBroker, Missing:
        "The SASL mechanism that brokers use among themselves.";
    "sasl.oauthbearer.assertion.algorithm", String, Is("RS256"), OneOfIgnoringCase(&["ES256", "RS256"]), Medium, ReadOnly, Missing:
        "The algorithm that signs a client assertion.";
    "sasl.oauthbearer.assertion.claim.aud", String, Null, Any, Medium, ReadOnly, Missing:
        "The audience of a client assertion.";
    "sasl.oauthbearer.assertion.claim.exp.seconds", Int, Is("300"), Between(0.0, 86_400.0), Low, ReadOnly, Missing:
        "The life of a client assertion.";
    "sasl.oauthbearer.assertion.claim.iss", String, Null, Any, Medium, ReadOnly, Missing:
        "The issuer of a client assertion.";
    "sasl.oauthbearer.assertion.claim.jti.include", Boolean, Is("false"), Any, Medium, ReadOnly, Missing:
        "Whether a client assertion has an id.";
    "sasl.oauthbearer.assertion.claim.nbf.seconds", Int, Is("60"), Between(0.0, 3600.0), Low, ReadOnly, Missing:
        "How far back a client assertion is good.";
    "sasl.oauthbearer.assertion.claim.sub", String, Null, Any, Medium, ReadOnly, Missing:
        "The subject of a client assertion.";
    "sasl.oauthbearer.assertion.file", String, Null, Any, Medium, ReadOnly, Missing:
        "A file with a finished client assertion.";
    "sasl.oauthbearer.assertion.private.key.file", String, Null, Any, Medium, ReadOnly, Missing:
        "The file with the key that signs client assertions.";
    "sasl.oauthbearer.assertion.private.key.passphrase", Password, Null, Any, Medium, ReadOnly, Missing:
        "The password of sasl.oauthbearer.assertion.private.key.file.";
    "sasl.oauthbearer.assertion.template.file", String, Null, Any, Medium, ReadOnly, Missing:
        "A file with further claims of a client assertion.";
    "sasl.oauthbearer.client.credentials.client.id", String, Null, Any, Medium, ReadOnly, Missing:
        "The client id for the client credentials grant.";
    "sasl.oauthbearer.client.credentials.client.secret", Password, Null, Any, Medium, ReadOnly, Missing:
        "The secret for the client credentials grant.";
    "sasl.oauthbearer.clock.skew.seconds", Int, Is("30"), Any, Low, ReadOnly, Missing:
        "How far the clocks of broker and authentication server may differ.";
    "sasl.oauthbearer.expected.audience", List, Is(""), LIST, Low, ReadOnly, Missing:
        "The audiences of which a token must have one.";
    "sasl.oauthbearer.expected.issuer", String, Null, Any, Low, ReadOnly, Missing:
        "The issuer that a token must have.";
    "sasl.oauthbearer.jwks.endpoint.refresh.ms", Long, Is("3600000"), Any, Low, ReadOnly, Missing:
        "How often the keys that verify tokens are fetched.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", Long, Is("10000"), Any, Low, ReadOnly, Missing:
        "The longest pause before the keys that verify tokens are fetched again.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", Long, Is("100"), Any, Low, ReadOnly, Missing:
        "Pause before the keys that verify tokens are fetched again after a failure.";
    "sasl.oauthbearer.jwks.endpoint.url", String, Null, Any, Medium, ReadOnly, Missing:
        "Where the keys that verify tokens are.";
    "sasl.oauthbearer.jwt.retriever.class", Class, Is("org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever"), Any, Medium, ReadOnly, Missing:
        "The Java class that gets tokens.";
    "sasl.oauthbearer.jwt.validator.class", Class, Is("org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator"), Any, Medium, ReadOnly, Missing:
        "The Java class that checks tokens.";
    "sasl.oauthbearer.scope", String, Null, Any, Medium, ReadOnly, Missing:
        "The scope that is asked for.";
    "sasl.oauthbearer.scope.claim.name", String, Is("scope"), Any, Low, ReadOnly, Missing:
        "The name of the claim that holds the scope.";
    "sasl.oauthbearer.sub.claim.name", String, Is("sub"), Any, Low, ReadOnly, Missing:
        "The name of the claim that holds the user.";
    "sasl.oauthbearer.token.endpoint.url", String, Null, Any, Medium, ReadOnly, Missing:
        "Where tokens are got.";
    "sasl.server.callback.handler.class", Class, Null, Any, Medium, ReadOnly, Missing:
        "The Java class for the server's side of SASL.";
    "sasl.server.max.receive.size", Int, Is("524288"), Any, Medium, ReadOnly, Missing:
        "The longest SASL message that is taken.";
    "ssl.allow.dn.changes", Boolean, Is("false"), Any, Low, ReadOnly, Missing:
        "Whether a new certificate may have another distinguished name.";
    "ssl.allow.san.changes", Boolean, Is("false"), Any, Low, ReadOnly, Missing:
        "Whether a new certificate may have other alternative names.";
    "ssl.cipher.suites", List, Is(""), LIST, Medium, PerBroker, Missing:
        "The cipher suites that TLS may use.";
    "ssl.client.auth", String, Is("none"), OneOf(&["required", "requested", "none"]), Medium, PerBroker, Missing:
        "Whether clients must show a certificate.";
    "ssl.enabled.protocols", List, Is("TLSv1.2,TLSv1.3"), LIST, Medium, PerBroker, Missing:
        "The versions of TLS that are offered.";
    "ssl.endpoint.identification.algorithm", String, Is("https"), Any, Low, PerBroker, Missing:
        "How this node checks the host name in another's certificate.";
    "ssl.engine.factory.class", Class, Null, Any, Low, PerBroker, Missing:
        "The Java class that makes TLS engines.";
    "ssl.key.password", Password, Null, Any, Medium, PerBroker, Missing:
        "The password of the private key.";
    "ssl.keymanager.algorithm", String, Is("SunX509"), Any, Medium, PerBroker, Missing:
        "The key manager of the Java machine.";
    "ssl.keystore.certificate.chain", Password, Null, Any, Medium, PerBroker, Missing:
        "The certificate chain, as PEM text.";
    "ssl.keystore.key", Password, Null, Any, Medium, PerBroker, Missing:
        "The private key, as PEM text.";
    "ssl.keystore.location", String, Null, Any, Medium, PerBroker, Missing:
        "The file with the private key and certificate.";
    "ssl.keystore.password", Password, Null, Any, Medium, PerBroker, Missing:
        "The password of ssl.keystore.location.";
    "ssl.keystore.type", String, Is("JKS"), Any, Medium, PerBroker, Missing:
        "The format of ssl.keystore.location.";
    "ssl.principal.mapping.rules", String, Is("DEFAULT"), Any, Low, ReadOnly, Missing:
        "How a certificate's distinguished name becomes a user's name.";
    "ssl.protocol", String, Is("TLSv1.3"), Any, Medium, PerBroker, Missing:
        "The version of TLS to make a context with.";
    "ssl.provider", String, Null, Any, Medium, PerBroker, Missing:
        "The Java provider of TLS.";
    "ssl.secure.random.implementation", String, Null, Any, Low, PerBroker, Missing:
        "The random number generator of the Java machine.";
    "ssl.trustmanager.algorithm", String, Is("PKIX"), Any, Medium, PerBroker, Missing:
        "The trust manager of the Java machine.";
    "ssl.truststore.certificates", Password, Null, Any, Medium, PerBroker, Missing:
        "The certificates to trust, as PEM text.";
    "ssl.truststore.location", String, Null, Any, Medium, PerBroker, Missing:
        "The file with the certificates to trust.";
    "ssl.truststore.password", Password, Null, Any, Medium, PerBroker, Missing:
        "The password of ssl.truststore.location.";
    "ssl.truststore.type", String, Is("JKS"), Any, Medium, PerBroker, Missing:
        "The format of ssl.truststore.location.";
};
