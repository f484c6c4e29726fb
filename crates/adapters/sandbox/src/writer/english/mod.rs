//! English phrases by tone and purpose.

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
    about: &["Nice to meet you", "Who we are", "Hello from {name}"],
    features: &["How we can help you", "What you will find here", "Come to us for this"],
    intro: &[
        "Have a look around, and ask us whatever you would like to know.",
        "This is what people come to {name} for.",
    ],
    gallery: &["Have a look", "A look at {name}"],
    testimonials: &["What people tell us", "Kind words"],
    pricing: &["What it costs", "Prices, plain and simple"],
    faq: &["Good questions", "You asked, we answer"],
    contact: &["Say hello", "Let's talk"],
    contact_text: &[
        "Write to us, or just come by. We are happy to hear from you.",
        "A question, an idea, a date? Tell us, and we will get back to you.",
    ],
    service: &[
        "Curious about {topic}? Ask us anything, there are no silly questions.",
        "Tell us what you have in mind for {topic}, and we take it from there.",
        "With {topic}, every case is a little different. Tell us about yours.",
        "Write to us about {topic}, and we will tell you how it works.",
    ],
    closing: &["We look forward to meeting you.", "See you soon at {name}.", "Do say hello."],
};

static PROFESSIONAL: TonePhrases = TonePhrases {
    about: &["About {name}", "Who we are", "How we work"],
    features: &["Our services", "What we do", "What {name} does for you"],
    intro: &[
        "An overview of what we do. Contact us for the details of your case.",
        "Every assignment begins with a conversation about what you need.",
    ],
    gallery: &["Our work", "Impressions"],
    testimonials: &["What our clients say", "References"],
    pricing: &["Prices", "Our rates"],
    faq: &["Frequently asked questions", "Questions and answers"],
    contact: &["Contact", "Contact {name}"],
    contact_text: &[
        "Send us a message with the main points, and we will reply with the next steps.",
        "Tell us briefly what it is about and how we can reach you.",
    ],
    service: &[
        "We discuss what you need from {topic}, agree on the scope, and keep you informed until it is done.",
        "Tell us your requirements for {topic}. You receive a clear answer about scope and next steps.",
        "For {topic} we begin with your questions and agree on the result before any work starts.",
        "Contact us about {topic} for an assessment of your case.",
    ],
    closing: &["We will be pleased to advise you.", "Contact {name} for further information."],
};

static BOLD: TonePhrases = TonePhrases {
    about: &["This is {name}", "What drives us", "Straight to the point"],
    features: &["What you get", "Here is what we do", "No detours"],
    intro: &[
        "Short version: tell us what you need, and we get to work.",
        "Pick what you need. Ask for the rest.",
    ],
    gallery: &["See for yourself", "Proof, not promises"],
    testimonials: &["In their words", "They said it"],
    pricing: &["The price. That's it.", "What you pay"],
    faq: &["Quick answers", "Ask. Answer. Done."],
    contact: &["Get in touch now", "Let's go"],
    contact_text: &["One message is all it takes. Write to us.", "Don't wait. Tell us what you need."],
    service: &[
        "{topic}: tell us the goal, and we get moving.",
        "You want {topic}. We want the details. Write to us.",
        "Bring us your hardest question about {topic}.",
        "{topic} without the runaround. Ask us how.",
    ],
    closing: &["Ready when you are.", "Your move.", "Let's get started."],
};

static ELEGANT: TonePhrases = TonePhrases {
    about: &["The house", "About {name}", "A word about us"],
    features: &["What we offer", "With care", "At your service"],
    intro: &[
        "A small selection, made with attention to detail.",
        "Allow us to show you what {name} can do for you.",
    ],
    gallery: &["Impressions", "A glimpse of {name}"],
    testimonials: &["From our guests and clients", "In good company"],
    pricing: &["Prices", "Our arrangements"],
    faq: &["Good to know", "Before you visit"],
    contact: &["We are at your disposal", "Write to us"],
    contact_text: &[
        "We would be delighted to hear from you. Please tell us how we may reach you.",
        "For enquiries and appointments, please write to us.",
    ],
    service: &[
        "{topic}, prepared with time and attention. Please ask us for the particulars.",
        "We take the time that {topic} deserves. Tell us what you wish for.",
        "Your wishes come first in {topic}. We listen, and then suggest.",
        "Let us talk about {topic} at your leisure.",
    ],
    closing: &["It will be our pleasure.", "We look forward to welcoming you."],
};

static BOOKINGS: GoalPhrases = GoalPhrases {
    headings: &["Find a time that suits you", "Book your visit to {name}", "When would you like to come?"],
    texts: &[
        "Tell us the day and time you have in mind, and we will confirm whether it is free.",
        "Send us a message with your preferred date. We will get back to you with what is possible.",
    ],
    labels: &["Ask for a date", "Book a visit", "Make an appointment"],
};

static SALES: GoalPhrases = GoalPhrases {
    headings: &["Found something you like?", "Order from {name}", "Ready to order?"],
    texts: &[
        "Tell us what you would like and how much of it, and we will take care of the rest.",
        "Write to us with your order or your questions, and we will reply with the details.",
    ],
    labels: &["Order now", "Place an order", "Ask about an order"],
};

static ENQUIRIES: GoalPhrases = GoalPhrases {
    headings: &["Tell us what you need", "Let's talk about your plans", "What can {name} do for you?"],
    texts: &[
        "Describe your plans in a few lines. We will come back to you with questions, ideas and a proposal.",
        "A short message is enough to get started. You decide afterwards whether and how to go on.",
    ],
    labels: &["Ask for a quote", "Write to us", "Get in touch"],
};

static VISITS: GoalPhrases = GoalPhrases {
    headings: &["Come and see us in {place}", "Come and see us", "Visit {name}"],
    texts: &[
        "Find out here where we are and how to reach us before you come.",
        "We would like to show you in person. Get in touch if you want to make sure somebody has time for you.",
    ],
    labels: &["Plan your visit", "How to find us"],
};

static SUPPORT: GoalPhrases = GoalPhrases {
    headings: &["Be part of {name}", "Join in", "Lend a hand"],
    texts: &[
        "With your time, your ideas or a contribution: tell us how you would like to help.",
        "Write to us, and we will tell you where help is needed most right now.",
    ],
    labels: &["Join in", "I want to help"],
};

static INFORM: GoalPhrases = GoalPhrases {
    headings: &["Get to know {name}", "Would you like to know more?", "Any questions left?"],
    texts: &[
        "Write to us. We read every message and answer as soon as we can.",
        "Ask us what is not on this page. We are glad to explain.",
    ],
    labels: &["Get in touch", "Ask us", "Learn more"],
};

pub(super) static FACTS: FactPhrases = FactPhrases {
    place: &["You find us in {place}.", "We are in {place}.", "{name} is in {place}."],
    audience: &["We are there for {audience}.", "What we do is made for {audience}."],
    services: &["We offer", "You can come to us for", "Our work covers"],
    and: "and",
    where_is_it: "Where can I find {name}?",
    for_whom: "Whom is {name} for?",
    what_is_it: "What does {name} do?",
    titles: &[
        "{topic} | {name}, {trade} in {place}",
        "{topic} | {name} in {place}",
        "{topic} | {name}",
        "{topic}",
    ],
    invitations: &[
        "Find out more and get in touch.",
        "Learn more on our website.",
        "Have a look and write to us.",
    ],
};
