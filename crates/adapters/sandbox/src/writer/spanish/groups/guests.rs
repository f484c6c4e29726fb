//! Spanish phrases of businesses that receive guests.

use crate::writer::phrases::GroupPhrases;

pub(super) static FOOD: GroupPhrases = GroupPhrases {
    headings: &[
        "[Tu|Su] {trade} en {place}",
        "Comer bien en {place}",
        "[Siéntate|Siéntese] a la mesa de {name}",
        "¿Con hambre? [Ven|Venga] a {name}",
    ],
    leads: &[
        "[Ven|Venga] con hambre, [quédate|quédese] el tiempo que [quieras|quiera] y [dinos|díganos] qué se [te|le] antoja.",
        "[Mira|Vea] lo que hacemos y después [ven|venga] a probarlo.",
    ],
    about: &[
        "La comida sabe mejor cuando alguien pensó en ella: qué lleva, cómo se hace y para quién. Eso hacemos en {name}.",
        "Nos gustan las visitas que preguntan. De dónde viene algo, cómo se prepara, con qué va bien: basta preguntar.",
    ],
    offers: &[
        (
            "[Pregunta|Pregunte] qué hay de bueno hoy",
            "¿No [sabes|sabe] qué elegir? [Pregúntanos|Pregúntenos] qué pediríamos nosotros.",
        ),
        (
            "[Dinos|Díganos] qué no [comes|come]",
            "Alergias, una dieta o simplemente sin cebolla: [avísanos|avísenos] al pedir y [te|le] decimos qué es posible.",
        ),
        (
            "Para celebrar",
            "Un cumpleaños, una reunión, una mesa familiar: [escríbenos|escríbanos] con el día y el número de personas.",
        ),
        ("Para llevar", "[Pregúntanos|Pregúntenos] qué viaja bien y [te|le] ayudamos a elegir."),
    ],
    questions: &[
        (
            "¿Cómo hago un pedido o una reserva?",
            "[Comunícate|Comuníquese] con nosotros e [indica|indique] el día, la hora y para cuántas personas. Confirmaremos lo que sea posible.",
        ),
        (
            "Tengo una alergia. ¿Qué hago?",
            "[Avísanos|Avísenos] antes de pedir. [Te|Le] diremos con franqueza qué lleva cada plato y qué no podemos descartar.",
        ),
        (
            "¿Puedo ir con un grupo?",
            "[Pregúntanos|Pregúntenos] antes. Con la fecha y el número de personas [te|le] decimos si se puede y cómo.",
        ),
    ],
    keywords: &["comida", "menú", "dónde comer", "pedidos"],
};

pub(super) static BEAUTY: GroupPhrases = GroupPhrases {
    headings: &[
        "[Tu|Su] {trade} en {place}",
        "Un tiempo para [ti|usted] en {place}",
        "[Relájate|Relájese]. {name} se encarga del resto",
        "[Siéntete|Siéntase] bien en [tu|su] piel",
    ],
    leads: &[
        "[Cuéntanos|Cuéntenos] cómo [quieres|quiere] sentir[te|se] al salir y encontramos juntos la manera.",
        "[Regálate|Regálese] una hora y [déjanos|déjenos] lo demás a nosotros.",
    ],
    about: &[
        "Antes de empezar escuchamos: qué [te|le] gusta, qué no y cuánto tiempo [quieres|quiere] dedicarle cada mañana.",
        "Un buen resultado comienza con un consejo sincero. En {name} [te|le] decimos qué [te|le] queda bien, y también qué no.",
    ],
    offers: &[
        (
            "Primero, el consejo",
            "[Trae|Traiga] una foto o solo una idea. Lo hablamos antes de cortar, teñir o aplicar nada.",
        ),
        (
            "Hecho para [ti|usted]",
            "[Tu|Su] cabello, [tu|su] piel, [tu|su] rutina: [cuéntanos|cuéntenos] y [te|le] proponemos lo que va bien.",
        ),
        (
            "Para días especiales",
            "Una boda, una fiesta, una foto: [escríbenos|escríbanos] con tiempo y lo planeamos juntos.",
        ),
        ("Cuidado en casa", "[Pregúntanos|Pregúntenos] cómo conservar el resultado entre una visita y otra."),
    ],
    questions: &[
        (
            "¿Necesito cita?",
            "[Escríbenos|Escríbanos] antes. [Te|Le] diremos cuándo hay lugar para que no [tengas|tenga] que esperar.",
        ),
        (
            "No sé qué me queda bien. ¿Me ayudan?",
            "Sí, por ahí empezamos. [Cuéntanos|Cuéntenos] qué [te|le] gusta y [te|le] mostramos qué es posible.",
        ),
        (
            "¿Y si llego tarde?",
            "[Avísanos|Avísenos] en cuanto [puedas|pueda] y vemos qué se puede hacer ese día.",
        ),
    ],
    keywords: &["belleza", "cuidado personal", "citas", "estilo"],
};

pub(super) static HEALTH: GroupPhrases = GroupPhrases {
    headings: &[
        "[Tu|Su] {trade} en {place}",
        "En buenas manos en {place}",
        "[Te|Le] dedicamos tiempo",
        "Atención que primero escucha",
    ],
    leads: &[
        "[Cuéntanos|Cuéntenos] qué [te|le] preocupa. Escuchamos, explicamos y decidimos juntos el siguiente paso.",
        "Respuestas claras, con palabras que se entienden.",
    ],
    about: &[
        "Un buen tratamiento comienza por escuchar. En {name} [puedes|puede] preguntar hasta que todo esté claro, y [decides|decide] con nosotros qué sigue.",
        "Explicamos lo que encontramos y lo que se puede hacer, para que [puedas|pueda] decidir sin presión.",
    ],
    offers: &[
        ("Espacio para [tus|sus] preguntas", "[Anótalas|Anótelas] antes de venir. Las vemos una por una."),
        ("Explicaciones claras", "[Sabrás|Sabrá] qué vemos, qué significa y qué opciones [tienes|tiene]."),
        (
            "Pensar en el futuro",
            "[Pregúntanos|Pregúntenos] qué [puedes hacer tú|puede hacer usted] para seguir bien.",
        ),
        (
            "Que [te|le] conozcan",
            "[Cuéntanos|Cuéntenos] de tratamientos y medicinas anteriores, para no tener que adivinar.",
        ),
    ],
    questions: &[
        (
            "¿Cómo obtengo una cita?",
            "[Comunícate|Comuníquese] con nosotros y [describe|describa] en pocas palabras el motivo. Responderemos con una hora. En una emergencia, [llama|llame] a los servicios de emergencia.",
        ),
        (
            "¿Qué llevo a la primera visita?",
            "Resultados anteriores y la lista de las medicinas que [tomas|toma], si [tienes|tiene], y [tus|sus] preguntas.",
        ),
        (
            "¿Están seguros mis datos?",
            "Lo que [nos cuentas|nos cuenta] queda entre nosotros. Por el formulario, [envía|envíe] solo lo necesario para la cita.",
        ),
    ],
    keywords: &["salud", "citas", "atención", "tratamiento"],
};

pub(super) static FITNESS: GroupPhrases = GroupPhrases {
    headings: &[
        "[Tu|Su] {trade} en {place}",
        "[Ponte|Póngase] en movimiento en {place}",
        "[Empieza|Empiece] hoy con {name}",
        "Más movimiento. Más bienestar",
    ],
    leads: &[
        "¿Principiante o de regreso tras una pausa? [Dinos|Díganos] dónde [estás|está] y desde ahí empezamos.",
        "[Encuentra tu|Encuentre su] ritmo, y gente con quien mantenerlo.",
    ],
    about: &[
        "Nadie empieza perfecto. En {name} [comienzas|comienza] donde [estás|está], [aprendes|aprende] a hacerlo bien y [avanzas|avanza] paso a paso.",
        "Entrenar funciona cuando se vuelve. Por eso ayudamos a encontrar lo que [disfrutas|disfruta] y un ritmo que quepa en [tu|su] semana.",
    ],
    offers: &[
        (
            "El primer paso",
            "[Escríbenos|Escríbanos] qué [quieres|quiere] lograr y [te|le] decimos por dónde empezar.",
        ),
        (
            "Técnica antes que peso",
            "[Pregunta|Pregunte] las veces que haga falta: primero moverse bien, después más.",
        ),
        ("Metas alcanzables", "Las fijamos juntos y las revisamos en el camino."),
        (
            "Juntos es más fácil",
            "[Trae|Traiga] a alguien, o [conoce|conozca] aquí a quienes van por el mismo camino.",
        ),
    ],
    questions: &[
        (
            "Nunca lo he hecho. ¿Puedo empezar?",
            "Sí. [Dinos|Díganos] al escribir y [te|le] proponemos cómo comenzar.",
        ),
        ("¿Qué necesito llevar?", "Ropa cómoda y algo de beber. Si hace falta algo más, avisamos."),
        (
            "Tuve una lesión. ¿Es un problema?",
            "[Consulta|Consulte] antes a [tu|su] médico y [avísanos|avísenos] antes de empezar, para tomarlo en cuenta.",
        ),
    ],
    keywords: &["ejercicio", "entrenamiento", "clases", "bienestar"],
};

pub(super) static LEARNING: GroupPhrases = GroupPhrases {
    headings: &[
        "[Tu|Su] {trade} en {place}",
        "[Aprende|Aprenda] algo nuevo en {place}",
        "[Aprende|Aprenda] paso a paso con {name}",
        "¿Curiosidad? Por ahí se empieza",
    ],
    leads: &[
        "[Dinos|Díganos] qué [sabes|sabe] ya y a dónde [quieres|quiere] llegar. [Te|Le] mostramos el siguiente paso.",
        "Se aprende mejor con quien explica, pregunta y tiene paciencia.",
    ],
    about: &[
        "Cada quien aprende distinto. En {name} averiguamos qué [te|le] ayuda y construimos sobre lo que ya [sabes|sabe].",
        "Equivocarse es parte de aprender. Aquí hay lugar para eso, para preguntar y para intentarlo otra vez.",
    ],
    offers: &[
        (
            "[Encuentra tu|Encuentre su] nivel",
            "[Escríbenos|Escríbanos] qué [has|ha] aprendido y [te|le] sugerimos dónde empezar.",
        ),
        ("Práctica, no solo teoría", "Lo aprendido se usa desde la primera clase."),
        ("Preguntas bienvenidas", "En la clase o después. Ninguna pregunta es demasiado pequeña."),
        ("Ver el avance", "Revisamos juntos lo logrado y planeamos lo que sigue."),
    ],
    questions: &[
        (
            "¿Necesito saber algo antes?",
            "[Dinos|Díganos] qué [quieres|quiere] aprender y [te|le] decimos qué curso conviene y de qué parte.",
        ),
        ("¿Cuándo puedo empezar?", "[Escríbenos|Escríbanos]. [Te|Le] diremos cuándo hay un lugar libre."),
        (
            "¿Puedo probar primero?",
            "[Pregúntanos|Pregúntenos]. [Te|Le] contamos cómo hacer[te|se] una idea antes de inscribir[te|se].",
        ),
    ],
    keywords: &["cursos", "clases", "aprender", "lecciones"],
};

pub(super) static TRAVEL: GroupPhrases = GroupPhrases {
    headings: &[
        "[Te|Le] damos la bienvenida a {place}",
        "[Tu|Su] {trade} en {place}",
        "Llegar, respirar, quedarse un rato",
        "¿A dónde [quieres|desea] ir?",
    ],
    leads: &[
        "[Dinos|Díganos] cuándo [vienes|viene] y qué [te|le] gustaría ver. Ayudamos a aprovecharlo.",
        "Un buen día empieza con alguien que conoce el lugar.",
    ],
    about: &[
        "Nos gusta contar qué vale la caminata, dónde se llena y qué se pasa por alto con facilidad.",
        "En {name} [eres|es] huésped, no un número. [Dinos|Díganos] cómo [te|le] gusta viajar y lo tomamos en cuenta.",
    ],
    offers: &[
        ("Consejos de quien conoce", "[Pregúntanos|Pregúntenos] a dónde iríamos nosotros."),
        (
            "Planes flexibles",
            "El clima, el ánimo, niños pequeños: [avísanos|avísenos] y buscamos otra manera.",
        ),
        (
            "Todo en un mensaje",
            "Fechas, número de personas, deseos: [escríbenos|escríbanos] y respondemos con lo que es posible.",
        ),
        (
            "Para ocasiones especiales",
            "Una luna de miel, un cumpleaños, un reencuentro: [cuéntanos|cuéntenos] antes.",
        ),
    ],
    questions: &[
        (
            "¿Cómo reservo?",
            "[Envíanos|Envíenos] las fechas y el número de personas. Responderemos con lo que está libre y su precio.",
        ),
        ("¿Puedo cambiar las fechas?", "[Avísanos|Avísenos] lo antes posible y vemos qué se puede hacer."),
        ("¿Cómo llego?", "[Dinos|Díganos] de dónde [vienes|viene] y [te|le] describimos el mejor camino."),
    ],
    keywords: &["viajes", "hospedaje", "reservar", "vacaciones"],
};

pub(super) static COMMUNITY: GroupPhrases = GroupPhrases {
    headings: &[
        "Juntos por {audience}",
        "Juntos en {place}",
        "{name}: juntos llegamos más lejos",
        "Todos podemos hacer algo",
    ],
    leads: &[
        "[Conoce|Conozca] lo que hacemos y dónde [podrías|podría] sumar[te|se].",
        "Hacen falta muchas manos. Las [tuyas|suyas] son bienvenidas.",
    ],
    about: &[
        "{name} vive de quienes participan: con una hora, una idea o simplemente contándolo a otros.",
        "Queremos que se vea con facilidad qué hacemos y por qué. [Pregúntanos|Pregúntenos] lo que no esté claro.",
    ],
    offers: &[
        (
            "Participar",
            "[Dinos|Díganos] qué [te|le] gusta hacer y cuánto tiempo [tienes|tiene]. Encontraremos una tarea.",
        ),
        (
            "Recibir ayuda",
            "¿[Tú|Usted] o alguien cercano necesita apoyo? [Escríbenos|Escríbanos] con confianza.",
        ),
        ("Correr la voz", "[Cuéntaselo|Cuénteselo] a amistades y vecinos. Muchas veces es lo que más ayuda."),
        ("Preguntar", "Cómo trabajamos y qué pasa con [tu|su] aportación: [te|le] contamos."),
    ],
    questions: &[
        (
            "¿Cómo puedo ayudar?",
            "[Escríbenos|Escríbanos] qué [te|le] gustaría hacer. [Te|Le] diremos dónde hace falta ahora.",
        ),
        (
            "¿Necesito experiencia?",
            "Para casi todo, no. [Dinos|Díganos] qué [sabes|sabe] hacer y [te|le] mostramos el resto.",
        ),
        ("¿Qué pasa con las aportaciones?", "[Pregúntanos|Pregúntenos] y [te|le] contamos en qué se usan."),
    ],
    keywords: &["comunidad", "voluntariado", "participar", "apoyo"],
};
