//! English phrases of businesses that provide services.

use crate::writer::phrases::GroupPhrases;

pub(super) static ADVICE: GroupPhrases = GroupPhrases {
    headings: &[
        "Your {trade} in {place}",
        "Clear advice in {place}",
        "Good decisions begin with clear advice",
        "{name}: advice you can act on",
    ],
    leads: &[
        "Tell us where you stand. We tell you what matters, what can wait, and what to do next.",
        "Complicated matters, explained so that you can decide.",
    ],
    about: &[
        "You do not need to know the right terms to talk to us. Tell us what has happened and what you want to achieve; {name} sorts out the rest with you.",
        "We say plainly what we recommend and why, and we also say when something is not worth the trouble.",
    ],
    offers: &[
        (
            "An open first talk",
            "Tell us about your situation. Afterwards you know which ways there are and what they involve.",
        ),
        ("Plain language", "No paper leaves us without you knowing what it says."),
        ("Agreed before we start", "Scope, steps and cost are settled with you before the work begins."),
        ("Discretion", "What you tell us stays with us."),
    ],
    questions: &[
        (
            "How does it begin?",
            "With a message. Tell us briefly what it is about, without confidential details, and we will propose a time to talk.",
        ),
        (
            "What should I prepare?",
            "The papers you have, and a list of your questions. We will tell you what else is needed.",
        ),
        ("What will it cost?", "That depends on the matter. We tell you before we begin, and you decide."),
    ],
    keywords: &["advice", "consultation", "services", "expert"],
};

pub(super) static TRADES: GroupPhrases = GroupPhrases {
    headings: &[
        "Your {trade} in {place}",
        "Done properly, in {place}",
        "Something to fix? Call {name}",
        "Good work, cleanly done",
    ],
    leads: &[
        "Show us what has to be done. We tell you how we would do it, and then we do it.",
        "From the first look to the last sweep: tell us what you need.",
    ],
    about: &[
        "Good work begins with looking closely. We ask, measure, and only then tell you what we suggest.",
        "At {name} you know who comes, what will be done, and what happens if something turns up along the way.",
    ],
    offers: &[
        ("Tell us what is wrong", "A few words and a photo help us understand what you need before we come."),
        ("A clear quote first", "You know what is included before any work begins."),
        ("We leave it tidy", "Tell us what has to be protected or kept clear, and we plan for it."),
        ("Advice that lasts", "Ask us how to look after it, so that it stays as it is."),
    ],
    questions: &[
        (
            "How do I get a quote?",
            "Send us a description, the place, and photos if you have some. We will ask for what is missing and answer with a quote.",
        ),
        (
            "When can you come?",
            "Tell us how urgent it is and when you are there. We will tell you the next time that is free.",
        ),
        (
            "What if something else turns up?",
            "Then we stop and tell you first. Nothing is added without your agreement.",
        ),
    ],
    keywords: &["repair", "installation", "quote", "maintenance"],
};

pub(super) static SHOP: GroupPhrases = GroupPhrases {
    headings: &[
        "Your {trade} in {place}",
        "Find something good in {place}",
        "Good things, well chosen",
        "Look around at {name}",
    ],
    leads: &[
        "Look around, ask, try. We help you find what you are really looking for.",
        "Tell us for whom or for what, and we will help you choose.",
    ],
    about: &[
        "We would rather advise you well than sell you much. Tell us what you need it for, and we will show you what fits.",
        "At {name} every piece has a reason to be there. Ask us about it.",
    ],
    offers: &[
        ("Advice included", "Tell us what it is for, and we narrow it down together."),
        ("Looking for a present?", "Say a few words about the person, and we will make suggestions."),
        ("Not on the shelf?", "Ask us. We will tell you whether we can find it for you."),
        ("Put aside for you", "Write to us before you come, and ask whether it is there."),
    ],
    questions: &[
        (
            "Is what I am looking for in stock?",
            "Write to us with what you need, and we will tell you what is there and what could be ordered.",
        ),
        (
            "Can I order from afar?",
            "Ask us. We will tell you what can be sent to where you are, and how you can pay.",
        ),
        ("What if it does not fit?", "Talk to us before you use it, and we will find a solution together."),
    ],
    keywords: &["shop", "buy", "gifts", "advice"],
};

pub(super) static TECHNOLOGY: GroupPhrases = GroupPhrases {
    headings: &[
        "Technology that works for {audience}",
        "Less effort, more done",
        "{name} takes the work off your hands",
        "Your {trade} in {place}",
    ],
    leads: &[
        "Tell us what takes too much of your time. We show you how it can be done with less.",
        "Software should fit the work, not the other way round.",
    ],
    about: &[
        "We begin with how you work today: what takes long, what goes wrong, what nobody likes to do. Then we build or choose what helps.",
        "At {name} we explain what we do in words that everybody on your team understands, and we stay reachable when it is in use.",
    ],
    offers: &[
        (
            "See it with your own data",
            "Ask us for a demonstration that begins with your case, not with ours.",
        ),
        ("Fits what you have", "Tell us what you use today, and we will tell you what can be connected."),
        ("Small steps", "Start with the part that helps most, and go on when it has proven itself."),
        ("People to talk to", "Questions are answered by somebody who knows your setup."),
    ],
    questions: &[
        (
            "Is it right for our size?",
            "Tell us how many people would use it and for what. We will say openly whether it fits.",
        ),
        (
            "What about our existing data?",
            "Tell us where they are today. We will tell you what can be brought along, and how.",
        ),
        (
            "How do we get started?",
            "With a short talk about your goals. Afterwards you get a proposal for the first step.",
        ),
    ],
    keywords: &["software", "digital", "solutions", "support"],
};

pub(super) static PROPERTY: GroupPhrases = GroupPhrases {
    headings: &[
        "Find your place in {place}",
        "Your {trade} in {place}",
        "A place to call your own",
        "{name} helps you find home",
    ],
    leads: &[
        "Tell us how you want to live, and what you can spend. We look for what fits both.",
        "Buying, selling or renting: we walk through it with you, door by door.",
    ],
    about: &[
        "A home is more than square metres. We ask about your mornings, your way to work and your plans before we show you anything.",
        "At {name} you hear the good and the not so good about a property, so that you can decide well.",
    ],
    offers: &[
        (
            "Looking for a home",
            "Tell us what you need and what you would like. We show you what comes close.",
        ),
        (
            "Selling well",
            "We look at your property together, and talk about price and timing before it is shown to anybody.",
        ),
        ("Renting without surprises", "We go through the contract and the condition of the place with you."),
        ("Knowing the area", "Ask us about schools, noise, transport and neighbours."),
    ],
    questions: &[
        (
            "How do I arrange a viewing?",
            "Write to us which property you mean and when you have time. We will confirm a date.",
        ),
        (
            "What is my property worth?",
            "Tell us where it is, how large, and in what condition. We will explain what the price depends on.",
        ),
        (
            "Which papers will I need?",
            "That depends on whether you buy, sell or rent. We give you a list for your case.",
        ),
    ],
    keywords: &["real estate", "homes", "for sale", "for rent"],
};

pub(super) static CREATIVE: GroupPhrases = GroupPhrases {
    headings: &[
        "Ideas with a home in {place}",
        "Your {trade} in {place}",
        "{name} gives ideas a form",
        "Let's make something worth looking at",
    ],
    leads: &[
        "Tell us what it is to be, or only what it is to feel like. We make it visible.",
        "Every project begins with listening.",
    ],
    about: &[
        "We ask before we draw: who is it for, what is it to change, and what must not get lost. The form follows from there.",
        "At {name} you see early what we are thinking, so that the result belongs to you as much as to us.",
    ],
    offers: &[
        ("From idea to plan", "Tell us what you have in mind, as unfinished as it is. We sort it together."),
        (
            "Drafts you can react to",
            "You see something early, and say what is right about it and what is not.",
        ),
        ("Made to be used", "We ask where it will be seen or heard, and make it for that."),
        ("One person to talk to", "You always know who is working on it."),
    ],
    questions: &[
        (
            "What do you need to begin?",
            "A few sentences about the project, a rough date, and examples of what you like.",
        ),
        ("How long does it take?", "That depends on the scope. You get a schedule with the proposal."),
        (
            "What if I do not like it?",
            "Then say so. That is what drafts are for, and we agree beforehand on how many there are.",
        ),
    ],
    keywords: &["design", "creative", "portfolio", "projects"],
};

pub(super) static GENERAL: GroupPhrases = GroupPhrases {
    headings: &["{name} in {place}", "Made for {audience}", "Welcome to {name}", "Good to have you here"],
    leads: &[
        "Have a look at what we do, and tell us what you need.",
        "Tell us what you are looking for. We will say openly whether we can help.",
    ],
    about: &[
        "We like it simple: you tell us what you need, we tell you what we can do, and we keep to what we have agreed.",
        "At {name} you talk to people who know what they are doing, and who say so when something is not for them.",
    ],
    offers: &[
        ("We listen first", "Tell us what you need in your own words. We ask until we have understood."),
        ("You know what comes next", "We agree on the steps with you before we begin."),
        ("Easy to reach", "Write to us, and somebody who knows about it will answer."),
        ("Done as agreed", "If anything changes along the way, you hear it from us first."),
    ],
    questions: &[
        (
            "How do I get in touch?",
            "Use the contact details on this site. A few words about what you need are enough.",
        ),
        (
            "How does it go on after that?",
            "We answer with questions or with a proposal, and you decide in your own time.",
        ),
        ("What does it cost?", "That depends on what you need. We tell you before anything begins."),
    ],
    keywords: &["services", "contact", "information"],
};
