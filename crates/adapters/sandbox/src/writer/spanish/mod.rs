//! Spanish phrases by tone and purpose. `[tú|usted]`: the first form is for those who are addressed informally.

pub(super) mod groups;

use portico_sites::ports::Tone;

use super::phrases::{FactPhrases, Goal, GoalPhrases, TonePhrases};

pub(super) fn tone(tone: Tone) -> &'static TonePhrases {
    match tone {
        Tone::Friendly => &FRIENDLY,
        Tone::Professional => &PROFESSIONAL,
        Tone::Bold => &BOLD,
        Tone::Elegant => &ELEGANT,
    }
}

pub(super) fn goal(goal: Goal) -> &'static GoalPhrases {
    match goal {
        Goal::Bookings => &BOOKINGS,
        Goal::Sales => &SALES,
        Goal::Enquiries => &ENQUIRIES,
        Goal::Visits => &VISITS,
        Goal::Support => &SUPPORT,
        Goal::Inform => &INFORM,
    }
}

static FRIENDLY: TonePhrases = TonePhrases {
    about: &["Mucho gusto", "Quiénes somos", "Hola, somos {name}"],
    features: &["En qué podemos ayudarte", "Lo que encontrarás aquí", "Para esto estamos"],
    intro: &["Mira con calma y pregúntanos lo que quieras saber.", "Por esto viene la gente a {name}."],
    gallery: &["Mira un poco", "Así es {name}"],
    testimonials: &["Lo que nos cuentan", "Palabras que alegran"],
    pricing: &["Cuánto cuesta", "Precios claros"],
    faq: &["Buenas preguntas", "Tú preguntas, nosotros respondemos"],
    contact: &["Escríbenos", "Hablemos"],
    contact_text: &[
        "Escríbenos o pasa a vernos. Nos alegra saber de ti.",
        "¿Una pregunta, una idea, una fecha? Cuéntanos y te respondemos.",
    ],
    service: &[
        "¿Te interesa: {topic}? Pregunta sin pena, para eso estamos.",
        "Cuéntanos qué tienes en mente y te ayudamos con lo demás.",
        "Cada caso es distinto. Cuéntanos el tuyo.",
        "Escríbenos y te explicamos cómo funciona.",
    ],
    closing: &["Nos dará gusto conocerte.", "Te esperamos en {name}.", "Pasa a saludarnos."],
};

static PROFESSIONAL: TonePhrases = TonePhrases {
    about: &["Acerca de {name}", "Quiénes somos", "Cómo trabajamos"],
    features: &["Nuestros servicios", "Qué hacemos", "Lo que {name} hace por usted"],
    intro: &[
        "Un resumen de lo que hacemos. Contáctenos para conocer los detalles de su caso.",
        "Cada encargo comienza con una conversación sobre lo que usted necesita.",
    ],
    gallery: &["Nuestro trabajo", "Imágenes"],
    testimonials: &["Lo que dicen nuestros clientes", "Referencias"],
    pricing: &["Precios", "Nuestras tarifas"],
    faq: &["Preguntas frecuentes", "Preguntas y respuestas"],
    contact: &["Contacto", "Contacte a {name}"],
    contact_text: &[
        "Envíenos un mensaje con los puntos principales y le responderemos con los siguientes pasos.",
        "Díganos brevemente de qué se trata y cómo podemos comunicarnos con usted.",
    ],
    service: &[
        "Conversamos sobre lo que necesita, acordamos el alcance y le mantenemos informado hasta terminar.",
        "Indíquenos sus requisitos. Recibirá una respuesta clara sobre el alcance y los siguientes pasos.",
        "Comenzamos con sus preguntas y acordamos el resultado antes de iniciar cualquier trabajo.",
        "Contáctenos para una evaluación de su caso.",
    ],
    closing: &["Con gusto le asesoramos.", "Comuníquese con {name} para más información."],
};

static BOLD: TonePhrases = TonePhrases {
    about: &["Esto es {name}", "Lo que nos mueve", "Directo al grano"],
    features: &["Lo que obtienes", "Esto hacemos", "Sin rodeos"],
    intro: &[
        "En corto: dinos qué necesitas y ponemos manos a la obra.",
        "Elige lo que necesitas. Pregunta por lo demás.",
    ],
    gallery: &["Míralo con tus propios ojos", "Hechos, no promesas"],
    testimonials: &["En sus palabras", "Ellos lo dicen"],
    pricing: &["El precio. Y ya.", "Lo que pagas"],
    faq: &["Respuestas rápidas", "Pregunta. Respuesta. Listo."],
    contact: &["Escríbenos ya", "Vamos"],
    contact_text: &["Basta un mensaje. Escríbenos.", "No esperes más. Dinos qué necesitas."],
    service: &[
        "Dinos la meta y nos ponemos en marcha.",
        "Tú tienes el plan. Nosotros queremos los detalles. Escríbenos.",
        "Tráenos tu pregunta más difícil.",
        "Sin vueltas. Pregúntanos cómo.",
    ],
    closing: &["Cuando tú digas.", "Te toca a ti.", "Empecemos."],
};

static ELEGANT: TonePhrases = TonePhrases {
    about: &["La casa", "Acerca de {name}", "Unas palabras sobre nosotros"],
    features: &["Lo que ofrecemos", "Con esmero", "A su servicio"],
    intro: &[
        "Una selección pequeña, hecha con atención al detalle.",
        "Permítanos mostrarle lo que {name} puede hacer por usted.",
    ],
    gallery: &["Impresiones", "Una mirada a {name}"],
    testimonials: &["De quienes nos visitan", "En buena compañía"],
    pricing: &["Precios", "Nuestras propuestas"],
    faq: &["Conviene saber", "Antes de su visita"],
    contact: &["A sus órdenes", "Escríbanos"],
    contact_text: &[
        "Será un placer saber de usted. Díganos cómo podemos comunicarnos.",
        "Para consultas y citas, le rogamos escribirnos.",
    ],
    service: &[
        "Preparado con tiempo y atención. Pregúntenos por los detalles.",
        "Le dedicamos el tiempo que merece. Díganos qué desea.",
        "Sus deseos van primero. Escuchamos y después proponemos.",
        "Conversemos sobre ello con calma.",
    ],
    closing: &["Será un placer atenderle.", "Esperamos darle la bienvenida."],
};

static BOOKINGS: GoalPhrases = GoalPhrases {
    headings: &[
        "[Encuentra|Encuentre] la hora que [te|le] convenga",
        "[Reserva tu|Reserve su] visita a {name}",
        "¿Cuándo [quieres|desea] venir?",
    ],
    texts: &[
        "[Dinos|Díganos] qué día y a qué hora, y confirmamos si hay lugar.",
        "[Envíanos|Envíenos] un mensaje con la fecha que [prefieres|prefiere]. [Te|Le] responderemos con lo que es posible.",
    ],
    labels: &["Pedir una fecha", "Reservar", "Hacer una cita"],
};

static SALES: GoalPhrases = GoalPhrases {
    headings: &[
        "¿[Encontraste|Encontró] algo que [te|le] gusta?",
        "[Pide|Pida] en {name}",
        "¿Listo para pedir?",
    ],
    texts: &[
        "[Dinos|Díganos] qué [quieres|desea] y cuánto, y nosotros nos encargamos de lo demás.",
        "[Escríbenos|Escríbanos] con [tu|su] pedido o [tus|sus] preguntas y [te|le] respondemos con los detalles.",
    ],
    labels: &["Pedir ahora", "Hacer un pedido", "Preguntar por un pedido"],
};

static ENQUIRIES: GoalPhrases = GoalPhrases {
    headings: &[
        "[Cuéntanos|Cuéntenos] qué [necesitas|necesita]",
        "Hablemos de [tus|sus] planes",
        "¿Qué puede hacer {name} por [ti|usted]?",
    ],
    texts: &[
        "[Describe tus|Describa sus] planes en pocas líneas. [Te|Le] responderemos con preguntas, ideas y una propuesta.",
        "Para empezar basta un mensaje corto. Después [tú decides|usted decide] si seguimos y cómo.",
    ],
    labels: &["Pedir una cotización", "[Escríbenos|Escríbanos]", "Ponerse en contacto"],
};

static VISITS: GoalPhrases = GoalPhrases {
    headings: &["[Ven|Venga] a conocernos en {place}", "[Ven|Venga] a conocernos", "[Visita|Visite] {name}"],
    texts: &[
        "Aquí [encuentras|encuentra] dónde estamos y cómo comunicar[te|se] antes de venir.",
        "Nos gustaría [mostrártelo|mostrárselo] en persona. [Escríbenos|Escríbanos] para asegurar que alguien tenga tiempo.",
    ],
    labels: &["Planear la visita", "Cómo llegar"],
};

static SUPPORT: GoalPhrases = GoalPhrases {
    headings: &["[Sé|Sea] parte de {name}", "[Súmate|Súmese]", "[Échanos|Échenos] una mano"],
    texts: &[
        "Con [tu|su] tiempo, [tus|sus] ideas o una aportación: [dinos|díganos] cómo [te|le] gustaría ayudar.",
        "[Escríbenos|Escríbanos] y [te|le] contamos dónde hace más falta ahora mismo.",
    ],
    labels: &["Quiero participar", "Quiero ayudar"],
};

static INFORM: GoalPhrases = GoalPhrases {
    headings: &["[Conoce|Conozca] {name}", "¿[Quieres|Desea] saber más?", "¿[Te|Le] queda alguna pregunta?"],
    texts: &[
        "[Escríbenos|Escríbanos]. Leemos cada mensaje y respondemos en cuanto podemos.",
        "[Pregúntanos|Pregúntenos] lo que no está en esta página. Con gusto lo explicamos.",
    ],
    labels: &["Ponerse en contacto", "Preguntar", "Saber más"],
};

pub(super) static FACTS: FactPhrases = FactPhrases {
    place: &["[Nos encuentras|Nos encuentra] en {place}.", "Estamos en {place}.", "{name} está en {place}."],
    audience: &["Trabajamos para {audience}.", "Lo que hacemos está pensado para {audience}."],
    services: &["Ofrecemos", "[Puedes|Puede] contar con nosotros para", "Nuestro trabajo abarca"],
    and: "y",
    where_is_it: "¿Dónde está {name}?",
    for_whom: "¿Para quién es {name}?",
    what_is_it: "¿Qué hace {name}?",
    titles: &[
        "{topic} | {name}, {trade} en {place}",
        "{topic} | {name} en {place}",
        "{topic} | {name}",
        "{topic}",
    ],
    invitations: &[
        "[Conoce más y escríbenos|Conozca más y escríbanos].",
        "Más información en nuestro sitio.",
        "[Mira|Vea] más y [escríbenos|escríbanos].",
    ],
};
