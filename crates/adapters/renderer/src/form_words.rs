//! Texts of contact forms.

use serde::Serialize;

/// Texts in one language.
#[derive(Debug, Serialize)]
pub struct FormWords {
    name: &'static str,
    email: &'static str,
    phone: &'static str,
    message: &'static str,
    optional: &'static str,
    send: &'static str,
    trap: &'static str,
    /// Default consent text.
    pub consent: &'static str,
    back: &'static str,
    thanks_title: &'static str,
    thanks_text: &'static str,
    /// Title for invalid fields.
    #[serde(skip)]
    pub wrong_title: &'static str,
    /// Explanation of it.
    #[serde(skip)]
    pub wrong_text: &'static str,
    /// Title for too many submissions.
    #[serde(skip)]
    pub many_title: &'static str,
    /// Explanation of it.
    #[serde(skip)]
    pub many_text: &'static str,
    /// Title for a temporary failure.
    #[serde(skip)]
    pub down_title: &'static str,
    /// Explanation of it.
    #[serde(skip)]
    pub down_text: &'static str,
    #[serde(skip)]
    required: &'static str,
    #[serde(skip)]
    too_long: &'static str,
    #[serde(skip)]
    invalid_email: &'static str,
    #[serde(skip)]
    invalid_phone: &'static str,
    #[serde(skip)]
    invalid: &'static str,
}

const ENGLISH: FormWords = FormWords {
    name: "Name",
    email: "Email",
    phone: "Phone",
    message: "Message",
    optional: "optional",
    send: "Send message",
    trap: "Leave this empty",
    consent: "You may send me news and offers. I can take this back at any time.",
    back: "Back to the site",
    thanks_title: "Thank you",
    thanks_text: "Your message has arrived. We will get back to you soon.",
    wrong_title: "Your message was not sent",
    wrong_text: "Please check these fields:",
    many_title: "That was a lot of messages",
    many_text: "Please wait a while, then send your message again. What you wrote is still here.",
    down_title: "Your message was not sent",
    down_text: "Something is not working right now. Please try again in a minute. What you wrote is still here.",
    required: "Please fill in this field.",
    too_long: "This is too long.",
    invalid_email: "This is not an email address.",
    invalid_phone: "Use digits, spaces and the characters + - . / ( ).",
    invalid: "This has characters in it that cannot be used here.",
};

const GERMAN: FormWords = FormWords {
    name: "Name",
    email: "E-Mail",
    phone: "Telefon",
    message: "Nachricht",
    optional: "freiwillig",
    send: "Nachricht senden",
    trap: "Bitte leer lassen",
    consent: "Sie dürfen mir Neuigkeiten und Angebote schicken. Das kann ich jederzeit widerrufen.",
    back: "Zurück zur Website",
    thanks_title: "Vielen Dank",
    thanks_text: "Ihre Nachricht ist angekommen. Wir melden uns bald.",
    wrong_title: "Ihre Nachricht wurde nicht gesendet",
    wrong_text: "Bitte prüfen Sie diese Felder:",
    many_title: "Das waren viele Nachrichten",
    many_text: "Bitte warten Sie eine Weile und senden Sie Ihre Nachricht dann noch einmal. Was Sie geschrieben haben, steht noch hier.",
    down_title: "Ihre Nachricht wurde nicht gesendet",
    down_text: "Gerade funktioniert etwas nicht. Bitte versuchen Sie es in einer Minute noch einmal. Was Sie geschrieben haben, steht noch hier.",
    required: "Bitte füllen Sie dieses Feld aus.",
    too_long: "Das ist zu lang.",
    invalid_email: "Das ist keine E-Mail-Adresse.",
    invalid_phone: "Erlaubt sind Ziffern, Leerzeichen und die Zeichen + - . / ( ).",
    invalid: "Darin sind Zeichen, die hier nicht möglich sind.",
};

const SPANISH: FormWords = FormWords {
    name: "Nombre",
    email: "Correo electrónico",
    phone: "Teléfono",
    message: "Mensaje",
    optional: "opcional",
    send: "Enviar mensaje",
    trap: "Deje esto vacío",
    consent: "Pueden enviarme novedades y ofertas. Puedo retirar este permiso en cualquier momento.",
    back: "Volver al sitio",
    thanks_title: "Gracias",
    thanks_text: "Su mensaje ha llegado. Le responderemos pronto.",
    wrong_title: "Su mensaje no se envió",
    wrong_text: "Revise estos campos, por favor:",
    many_title: "Fueron muchos mensajes",
    many_text: "Espere un rato, por favor, y vuelva a enviar su mensaje. Lo que escribió sigue aquí.",
    down_title: "Su mensaje no se envió",
    down_text: "Algo no funciona en este momento. Inténtelo de nuevo en un minuto, por favor. Lo que escribió sigue aquí.",
    required: "Rellene este campo, por favor.",
    too_long: "Es demasiado largo.",
    invalid_email: "Esto no es una dirección de correo.",
    invalid_phone: "Use dígitos, espacios y los signos + - . / ( ).",
    invalid: "Contiene caracteres que aquí no se pueden usar.",
};

const FRENCH: FormWords = FormWords {
    name: "Nom",
    email: "E-mail",
    phone: "Téléphone",
    message: "Message",
    optional: "facultatif",
    send: "Envoyer le message",
    trap: "Laissez ce champ vide",
    consent: "Vous pouvez m’envoyer des nouvelles et des offres. Je peux retirer cet accord à tout moment.",
    back: "Retour au site",
    thanks_title: "Merci",
    thanks_text: "Votre message est bien arrivé. Nous vous répondrons bientôt.",
    wrong_title: "Votre message n’a pas été envoyé",
    wrong_text: "Veuillez vérifier ces champs :",
    many_title: "Cela fait beaucoup de messages",
    many_text: "Veuillez patienter un moment, puis renvoyer votre message. Ce que vous avez écrit est toujours là.",
    down_title: "Votre message n’a pas été envoyé",
    down_text: "Quelque chose ne fonctionne pas en ce moment. Veuillez réessayer dans une minute. Ce que vous avez écrit est toujours là.",
    required: "Veuillez remplir ce champ.",
    too_long: "C’est trop long.",
    invalid_email: "Ce n’est pas une adresse e-mail.",
    invalid_phone: "Utilisez des chiffres, des espaces et les signes + - . / ( ).",
    invalid: "Il y a des caractères qui ne peuvent pas être utilisés ici.",
};

impl FormWords {
    /// Texts in the language of a BCP 47 tag; English if it is not supported.
    pub fn in_language(tag: &str) -> &'static Self {
        match tag.split('-').next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "de" => &GERMAN,
            "es" => &SPANISH,
            "fr" => &FRENCH,
            _ => &ENGLISH,
        }
    }

    /// The message for an error code.
    pub fn error(&self, code: &str) -> &'static str {
        match code {
            "required" => self.required,
            "too_long" => self.too_long,
            "invalid_email" => self.invalid_email,
            "invalid_phone" => self.invalid_phone,
            _ => self.invalid,
        }
    }

    /// The label of a field.
    pub fn label(&self, field: &str) -> &'static str {
        match field {
            "name" => self.name,
            "email" => self.email,
            "phone" => self.phone,
            _ => self.message,
        }
    }
}
