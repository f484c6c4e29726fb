//! English phrases of businesses that receive guests.

use crate::writer::phrases::GroupPhrases;

pub(super) static FOOD: GroupPhrases = GroupPhrases {
    headings: &[
        "Your {trade} in {place}",
        "Good food in {place}",
        "Take a seat at {name}",
        "Hungry? Come to {name}",
    ],
    leads: &[
        "Come hungry, stay as long as you like, and tell us what you feel like eating.",
        "Take a look at what we make, and then come and taste it.",
    ],
    about: &[
        "Food is best when somebody has thought about it: what goes in, how it is made, and for whom. That is what we do at {name}.",
        "We like guests who ask questions. Where something comes from, how it is prepared, what goes well with it: just ask.",
    ],
    offers: &[
        ("Ask what is good today", "Cannot decide? Ask us what we would choose for ourselves."),
        (
            "Tell us what you avoid",
            "Allergies, a diet, or simply no onions: say so when you order, and we will tell you what is possible.",
        ),
        (
            "Planning something bigger",
            "A birthday, a meeting, a family table: write to us with the day and the number of guests.",
        ),
        ("Something to take along", "Ask us what travels well, and we will help you choose."),
    ],
    questions: &[
        (
            "How do I order or reserve?",
            "Get in touch and tell us the day, the time and for how many people. We will confirm what is possible.",
        ),
        (
            "I have an allergy. What should I do?",
            "Tell us before you order. We will say openly what is in each dish, and what we cannot rule out.",
        ),
        (
            "Can I come with a group?",
            "Ask us first. With the date and the number of people we can tell you whether and how it works.",
        ),
    ],
    keywords: &["food", "menu", "eat out", "order food"],
};

pub(super) static BEAUTY: GroupPhrases = GroupPhrases {
    headings: &[
        "Your {trade} in {place}",
        "Time for yourself in {place}",
        "Lean back. {name} takes care of the rest",
        "Feel good in your skin",
    ],
    leads: &[
        "Tell us how you would like to feel when you leave, and we will find the way there together.",
        "Take an hour for yourself and leave the rest to us.",
    ],
    about: &[
        "Before we begin, we listen: what you like, what you do not, and how much time you want to spend on it every morning.",
        "Good results begin with honest advice. At {name} we tell you what suits you, and also what does not.",
    ],
    offers: &[
        (
            "Advice first",
            "Bring a picture or just an idea. We talk it over before anything is cut, coloured or applied.",
        ),
        (
            "Made for you",
            "Your hair, your skin, your routine: tell us about them, and we will suggest what fits.",
        ),
        (
            "For special days",
            "A wedding, a party, a photo: write to us in good time, and we plan it together.",
        ),
        ("Care for at home", "Ask us how to keep the result beautiful between visits."),
    ],
    questions: &[
        (
            "Do I need an appointment?",
            "Write to us first. We will tell you when there is time for you, so that you do not have to wait.",
        ),
        (
            "I am not sure what suits me. Can you help?",
            "Yes, that is where we begin. Tell us what you like, and we will show you what is possible.",
        ),
        (
            "What if I am running late?",
            "Let us know as soon as you can, and we will see what we can still do on that day.",
        ),
    ],
    keywords: &["beauty", "care", "appointment", "styling"],
};

pub(super) static HEALTH: GroupPhrases = GroupPhrases {
    headings: &[
        "Your {trade} in {place}",
        "In good hands in {place}",
        "We take time for you",
        "Care that listens first",
    ],
    leads: &[
        "Tell us what troubles you. We listen, explain, and decide on the next step together with you.",
        "Clear answers, in words that everybody understands.",
    ],
    about: &[
        "A good treatment begins with listening. At {name} you can ask until everything is clear, and you decide with us what comes next.",
        "We explain what we find and what can be done about it, so that you can make up your mind without pressure.",
    ],
    offers: &[
        ("Room for your questions", "Write them down beforehand. We go through them one by one."),
        ("Clear explanations", "You hear what we see, what it means, and which options you have."),
        ("Thinking ahead", "Ask us what you can do yourself, so that you stay well."),
        (
            "A familiar face",
            "Tell us about earlier treatments and medicines, so that nothing has to be guessed.",
        ),
    ],
    questions: &[
        (
            "How do I get an appointment?",
            "Get in touch with a few words about your concern. We will answer with a time. In an emergency, please call the emergency services.",
        ),
        (
            "What should I bring to the first visit?",
            "Earlier findings and a list of the medicines you take, if you have any, and your questions.",
        ),
        (
            "Are my data safe with you?",
            "What you tell us stays between us. Please send only what we need for making an appointment through the form.",
        ),
    ],
    keywords: &["health", "appointment", "care", "treatment"],
};

pub(super) static FITNESS: GroupPhrases = GroupPhrases {
    headings: &[
        "Your {trade} in {place}",
        "Get moving in {place}",
        "Start today with {name}",
        "Move more. Feel better",
    ],
    leads: &[
        "Beginner or back after a break: tell us where you stand, and we start from there.",
        "Find your pace, and people to keep it with.",
    ],
    about: &[
        "Internal starts perfect. At {name} you begin where you are, learn to do it right, and go on step by step.",
        "Training works when you come back to it. So we help you find what you enjoy, and a rhythm that fits your week.",
    ],
    offers: &[
        (
            "Your first step",
            "Write to us what you would like to achieve, and we tell you what to begin with.",
        ),
        ("Technique before weight", "Ask, and ask again: moving well comes first, more comes later."),
        ("Goals you can reach", "We set them together, and look at them again as you go."),
        ("Together it is easier", "Bring a friend, or meet people here who are on the same way."),
    ],
    questions: &[
        (
            "I have never done this. Can I join?",
            "Yes. Tell us when you write, and we will suggest how to begin.",
        ),
        (
            "What do I need to bring?",
            "Clothes that you can move in and something to drink. We will tell you if you need anything else.",
        ),
        (
            "I have had an injury. Is that a problem?",
            "Ask your doctor first, and tell us before you begin, so that we can take it into account.",
        ),
    ],
    keywords: &["fitness", "training", "classes", "exercise"],
};

pub(super) static LEARNING: GroupPhrases = GroupPhrases {
    headings: &[
        "Your {trade} in {place}",
        "Learn something new in {place}",
        "Learn it step by step with {name}",
        "Curious? Then begin",
    ],
    leads: &[
        "Tell us what you already know and where you want to go. We show you the next step.",
        "Learning is easier with people who explain, ask back, and have patience.",
    ],
    about: &[
        "Everybody learns differently. At {name} we find out what helps you, and build on what you already know.",
        "Mistakes are part of it. We make room for them, for questions, and for trying again.",
    ],
    offers: &[
        ("Find your level", "Write to us what you have learned so far, and we will suggest where to begin."),
        ("Practice, not only theory", "You use what you learn, right from the first lesson."),
        ("Questions welcome", "Ask during the lesson or afterwards. No question is too small."),
        ("See how far you have come", "We look at your progress together, and plan what is next."),
    ],
    questions: &[
        (
            "Do I need to know anything beforehand?",
            "Tell us what you want to learn, and we will tell you which course fits and what it builds on.",
        ),
        ("When can I start?", "Write to us. We will tell you when the next place is free."),
        ("Can I try it first?", "Ask us. We will tell you how you can get an impression before you enrol."),
    ],
    keywords: &["courses", "classes", "learn", "lessons"],
};

pub(super) static TRAVEL: GroupPhrases = GroupPhrases {
    headings: &[
        "Welcome to {place}",
        "Your {trade} in {place}",
        "Arrive. Breathe out. Stay a while",
        "Where would you like to go?",
    ],
    leads: &[
        "Tell us when you are coming and what you would like to see. We help you make the most of it.",
        "Good days begin with somebody who knows the place.",
    ],
    about: &[
        "We like to tell guests what is worth the walk, where it gets busy, and what one easily misses.",
        "At {name} you are a guest, not a number. Tell us how you like to travel, and we will take it into account.",
    ],
    offers: &[
        ("Tips from people who know", "Ask us where we would go ourselves."),
        ("Plans that bend", "Weather, mood or small children: tell us, and we find another way."),
        (
            "Everything in one message",
            "Dates, number of people, wishes: write to us, and we answer with what is possible.",
        ),
        ("For special occasions", "A honeymoon, a birthday, a reunion: tell us beforehand."),
    ],
    questions: &[
        (
            "How do I book?",
            "Send us your dates and the number of people. We will reply with what is free and what it costs.",
        ),
        ("Can I change my dates?", "Tell us as early as you can, and we will see what is possible."),
        ("How do I get there?", "Tell us where you are coming from, and we will describe the best way."),
    ],
    keywords: &["travel", "stay", "book", "holiday"],
};

pub(super) static COMMUNITY: GroupPhrases = GroupPhrases {
    headings: &[
        "Together for {audience}",
        "Together in {place}",
        "{name}: together we get further",
        "Everybody can do something",
    ],
    leads: &["Find out what we do, and where you could come in.", "It takes many hands. Yours are welcome."],
    about: &[
        "{name} lives from people who join in: with an hour, an idea, or simply by telling others about it.",
        "We want it to be easy to see what we do and why. Ask us if anything is not clear.",
    ],
    offers: &[
        ("Join in", "Tell us what you like to do and how much time you have. We will find a task that fits."),
        ("Get help", "Do you or somebody you know need support? Write to us in confidence."),
        ("Spread the word", "Tell friends and neighbours about us. Often that is what helps most."),
        ("Ask us anything", "How we work and what becomes of your contribution: we will tell you."),
    ],
    questions: &[
        (
            "How can I help?",
            "Write to us what you would like to do. We will tell you where help is needed right now.",
        ),
        (
            "Do I need experience?",
            "For most things, no. Tell us what you can do, and we will show you the rest.",
        ),
        ("What happens with contributions?", "Ask us, and we will tell you what they are used for."),
    ],
    keywords: &["community", "volunteer", "join", "support"],
};
