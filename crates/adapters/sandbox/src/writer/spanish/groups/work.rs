//! Spanish phrases of businesses that provide services.

use crate::writer::phrases::GroupPhrases;

pub(super) static ADVICE: GroupPhrases = GroupPhrases {
    headings: &[
        "[Tu|Su] {trade} en {place}",
        "Asesoría clara en {place}",
        "Una buena decisión empieza con un consejo claro",
        "{name}: consejos que se pueden llevar a la práctica",
    ],
    leads: &[
        "[Cuéntanos|Cuéntenos] [tu|su] situación. Decimos qué importa, qué puede esperar y qué sigue.",
        "Asuntos complicados, explicados para que [puedas|pueda] decidir.",
    ],
    about: &[
        "No hace falta conocer los términos para hablar con nosotros. [Cuéntanos|Cuéntenos] qué pasó y qué [quieres|quiere] lograr; {name} ordena el resto junto a [ti|usted].",
        "Decimos con claridad qué recomendamos y por qué, y también cuándo algo no vale la pena.",
    ],
    offers: &[
        (
            "Una primera conversación abierta",
            "[Cuéntanos|Cuéntenos] el caso. Después [sabrás|sabrá] qué caminos hay y qué implica cada uno.",
        ),
        ("Palabras claras", "Ningún documento sale de aquí sin que [sepas|sepa] qué dice."),
        ("Acordado antes de empezar", "Alcance, pasos y costo se definen antes de comenzar el trabajo."),
        ("Discreción", "Lo que [nos cuentas|nos cuenta] queda con nosotros."),
    ],
    questions: &[
        (
            "¿Cómo se empieza?",
            "Con un mensaje. [Dinos|Díganos] brevemente de qué se trata, sin datos confidenciales, y proponemos una hora para hablar.",
        ),
        (
            "¿Qué debo preparar?",
            "Los documentos que [tengas|tenga] y una lista de preguntas. Avisaremos qué más hace falta.",
        ),
        ("¿Cuánto cuesta?", "Depende del asunto. Lo decimos antes de empezar, y la decisión es [tuya|suya]."),
    ],
    keywords: &["asesoría", "consulta", "servicios", "especialistas"],
};

pub(super) static TRADES: GroupPhrases = GroupPhrases {
    headings: &[
        "[Tu|Su] {trade} en {place}",
        "Trabajo bien hecho en {place}",
        "¿Algo que arreglar? {name}",
        "Buen trabajo, limpio y completo",
    ],
    leads: &[
        "[Muéstranos|Muéstrenos] qué hay que hacer. [Te|Le] decimos cómo lo haríamos, y lo hacemos.",
        "Desde la primera visita hasta barrer al final: [dinos|díganos] qué [necesitas|necesita].",
    ],
    about: &[
        "Un buen trabajo empieza por mirar bien. Preguntamos, medimos y solo entonces proponemos.",
        "Con {name} [sabes|sabe] quién viene, qué se hará y qué pasa si aparece algo en el camino.",
    ],
    offers: &[
        (
            "[Cuéntanos|Cuéntenos] qué pasa",
            "Unas palabras y una foto nos ayudan a entender qué [necesitas|necesita] antes de llegar.",
        ),
        ("Primero, la cotización", "[Sabes|Sabe] qué incluye antes de que empiece el trabajo."),
        ("Todo queda en orden", "[Dinos|Díganos] qué hay que proteger o despejar y lo tomamos en cuenta."),
        ("Consejos que duran", "[Pregúntanos|Pregúntenos] cómo cuidarlo para que siga como está."),
    ],
    questions: &[
        (
            "¿Cómo pido una cotización?",
            "[Envíanos|Envíenos] una descripción, el lugar y fotos si [tienes|tiene]. Preguntaremos lo que falte y responderemos con una cotización.",
        ),
        (
            "¿Cuándo pueden venir?",
            "[Dinos|Díganos] qué tan urgente es y cuándo [estás|está]. Responderemos con la próxima fecha libre.",
        ),
        (
            "¿Y si aparece algo más?",
            "Entonces paramos y avisamos primero. No se agrega nada sin [tu|su] acuerdo.",
        ),
    ],
    keywords: &["reparaciones", "instalación", "cotización", "mantenimiento"],
};

pub(super) static SHOP: GroupPhrases = GroupPhrases {
    headings: &[
        "[Tu|Su] {trade} en {place}",
        "[Encuentra|Encuentre] algo bueno en {place}",
        "Cosas buenas, bien elegidas",
        "[Mira|Vea] lo que hay en {name}",
    ],
    leads: &[
        "[Mira, pregunta, prueba|Mire, pregunte, pruebe]. Ayudamos a encontrar lo que de verdad [buscas|busca].",
        "[Dinos|Díganos] para quién o para qué, y [te|le] ayudamos a elegir.",
    ],
    about: &[
        "Preferimos aconsejar bien a vender mucho. [Dinos|Díganos] para qué lo [necesitas|necesita] y [te|le] mostramos lo que sirve.",
        "En {name} cada pieza está por una razón. [Pregúntanos|Pregúntenos] cuál.",
    ],
    offers: &[
        ("Consejo incluido", "[Dinos|Díganos] para qué es y lo vamos acotando."),
        ("¿[Buscas|Busca] un regalo?", "[Cuéntanos|Cuéntenos] un poco de la persona y hacemos sugerencias."),
        ("¿No está a la vista?", "[Pregúntanos|Pregúntenos]. [Te|Le] diremos si podemos conseguirlo."),
        ("Apartado para [ti|usted]", "[Escríbenos|Escríbanos] antes de venir y [pregunta|pregunte] si está."),
    ],
    questions: &[
        (
            "¿Tienen lo que busco?",
            "[Escríbenos|Escríbanos] qué [necesitas|necesita] y [te|le] decimos qué hay y qué se puede encargar.",
        ),
        (
            "¿Puedo pedir a distancia?",
            "[Pregúntanos|Pregúntenos]. [Te|Le] diremos qué se puede enviar a donde [estás|está] y cómo se paga.",
        ),
        ("¿Y si no me queda?", "[Habla|Hable] con nosotros antes de usarlo y buscamos una solución."),
    ],
    keywords: &["tienda", "comprar", "regalos", "asesoría"],
};

pub(super) static TECHNOLOGY: GroupPhrases = GroupPhrases {
    headings: &[
        "Tecnología que funciona para {audience}",
        "Menos esfuerzo, más resultado",
        "{name} [te|le] quita trabajo de encima",
        "[Tu|Su] {trade} en {place}",
    ],
    leads: &[
        "[Dinos|Díganos] qué [te|le] quita demasiado tiempo. [Te|Le] mostramos cómo hacerlo con menos.",
        "El software debe adaptarse al trabajo, y no al revés.",
    ],
    about: &[
        "Empezamos por cómo [trabajas|trabaja] hoy: qué tarda, qué falla, qué no le gusta a nadie. Después construimos o elegimos lo que ayuda.",
        "En {name} explicamos lo que hacemos con palabras que todo el equipo entiende, y seguimos disponibles cuando ya está en uso.",
    ],
    offers: &[
        (
            "Con [tus|sus] propios datos",
            "[Pide|Pida] una demostración que comience con [tu|su] caso y no con el nuestro.",
        ),
        (
            "Va con lo que ya [tienes|tiene]",
            "[Dinos|Díganos] qué [usas|usa] hoy y [te|le] decimos qué se puede conectar.",
        ),
        ("Pasos pequeños", "Se empieza por lo que más ayuda, y se sigue cuando ya demostró que sirve."),
        ("Personas con quienes hablar", "Responde alguien que conoce [tu|su] instalación."),
    ],
    questions: &[
        (
            "¿Es adecuado para nuestro tamaño?",
            "[Dinos|Díganos] cuántas personas lo usarían y para qué. Diremos con franqueza si conviene.",
        ),
        (
            "¿Qué pasa con nuestros datos actuales?",
            "[Dinos|Díganos] dónde están hoy. [Te|Le] diremos qué se puede trasladar y cómo.",
        ),
        (
            "¿Cómo empezamos?",
            "Con una conversación corta sobre [tus|sus] metas. Después sigue una propuesta para el primer paso.",
        ),
    ],
    keywords: &["software", "digital", "soluciones", "soporte"],
};

pub(super) static PROPERTY: GroupPhrases = GroupPhrases {
    headings: &[
        "[Encuentra tu|Encuentre su] lugar en {place}",
        "[Tu|Su] {trade} en {place}",
        "Un lugar propio",
        "{name} ayuda a encontrar casa",
    ],
    leads: &[
        "[Cuéntanos|Cuéntenos] cómo [quieres|quiere] vivir y con qué presupuesto. Buscamos lo que vaya con ambos.",
        "Comprar, vender o alquilar: lo recorremos juntos, puerta por puerta.",
    ],
    about: &[
        "Una casa es más que metros cuadrados. Preguntamos por [tus|sus] mañanas, [tu|su] camino al trabajo y [tus|sus] planes antes de mostrar nada.",
        "En {name} se dice lo bueno y lo no tan bueno de una propiedad, para decidir bien.",
    ],
    offers: &[
        (
            "Buscar casa",
            "[Dinos|Díganos] qué [necesitas|necesita] y qué [te|le] gustaría. Mostramos lo que más se acerca.",
        ),
        ("Vender bien", "Vemos la propiedad juntos y hablamos de precio y momento antes de mostrarla."),
        ("Alquilar sin sorpresas", "Revisamos juntos el contrato y el estado del lugar."),
        ("Conocer la zona", "[Pregúntanos|Pregúntenos] por escuelas, ruido, transporte y vecinos."),
    ],
    questions: &[
        (
            "¿Cómo agendo una visita?",
            "[Escríbenos|Escríbanos] qué propiedad es y cuándo [tienes|tiene] tiempo. Confirmaremos una fecha.",
        ),
        (
            "¿Cuánto vale mi propiedad?",
            "[Dinos|Díganos] dónde está, qué tamaño tiene y en qué estado. Explicamos de qué depende el precio.",
        ),
        (
            "¿Qué papeles necesito?",
            "Depende de si [compras, vendes o alquilas|compra, vende o alquila]. [Te|Le] damos una lista para [tu|su] caso.",
        ),
    ],
    keywords: &["bienes raíces", "casas", "en venta", "en alquiler"],
};

pub(super) static CREATIVE: GroupPhrases = GroupPhrases {
    headings: &[
        "Ideas con casa en {place}",
        "[Tu|Su] {trade} en {place}",
        "{name} da forma a las ideas",
        "Hagamos algo que valga la pena mirar",
    ],
    leads: &[
        "[Dinos|Díganos] qué ha de ser, o solo qué se ha de sentir. Lo hacemos visible.",
        "Cada proyecto empieza por escuchar.",
    ],
    about: &[
        "Preguntamos antes de dibujar: para quién es, qué ha de cambiar y qué no se puede perder. De ahí sale la forma.",
        "En {name} [ves|ve] pronto lo que estamos pensando, para que el resultado sea tan [tuyo|suyo] como nuestro.",
    ],
    offers: &[
        (
            "De la idea al plan",
            "[Cuéntanos|Cuéntenos] lo que [tienes|tiene] en mente, aunque esté a medias. Lo ordenamos juntos.",
        ),
        ("Borradores para opinar", "[Ves|Ve] algo pronto y [dices|dice] qué está bien y qué no."),
        ("Hecho para usarse", "Preguntamos dónde se verá o se oirá, y lo hacemos para eso."),
        ("Una persona con quien hablar", "Siempre se sabe quién está trabajando en ello."),
    ],
    questions: &[
        (
            "¿Qué necesitan para empezar?",
            "Unas frases sobre el proyecto, una fecha aproximada y ejemplos de lo que [te|le] gusta.",
        ),
        ("¿Cuánto tarda?", "Depende del alcance. La propuesta lleva un calendario."),
        ("¿Y si no me gusta?", "Se dice. Para eso son los borradores, y antes acordamos cuántos habrá."),
    ],
    keywords: &["diseño", "creatividad", "portafolio", "proyectos"],
};

pub(super) static GENERAL: GroupPhrases = GroupPhrases {
    headings: &[
        "{name} en {place}",
        "Pensado para {audience}",
        "[Te|Le] damos la bienvenida a {name}",
        "Qué bueno que [estás|está] aquí",
    ],
    leads: &[
        "[Mira|Vea] lo que hacemos y [dinos|díganos] qué [necesitas|necesita].",
        "[Dinos|Díganos] qué [buscas|busca]. Diremos con franqueza si podemos ayudar.",
    ],
    about: &[
        "Nos gusta lo sencillo: [nos dices|nos dice] qué [necesitas|necesita], decimos qué podemos hacer y cumplimos lo acordado.",
        "En {name} se habla con personas que saben lo que hacen, y que avisan cuando algo no es lo suyo.",
    ],
    offers: &[
        (
            "Primero escuchamos",
            "[Cuéntanos|Cuéntenos] con [tus|sus] propias palabras. Preguntamos hasta entender.",
        ),
        ("Se sabe qué sigue", "Acordamos los pasos antes de empezar."),
        ("Fácil de contactar", "[Escríbenos|Escríbanos] y responde alguien que conoce el tema."),
        ("Hecho como se acordó", "Si algo cambia en el camino, lo [sabrás|sabrá] primero por nosotros."),
    ],
    questions: &[
        (
            "¿Cómo me comunico?",
            "Con los datos de contacto de este sitio. Bastan unas palabras sobre lo que [necesitas|necesita].",
        ),
        (
            "¿Y después?",
            "Respondemos con preguntas o con una propuesta, y [tú decides|usted decide] con calma.",
        ),
        ("¿Cuánto cuesta?", "Depende de lo que [necesites|necesite]. Lo decimos antes de empezar."),
    ],
    keywords: &["servicios", "contacto", "información"],
};
