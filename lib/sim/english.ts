/**
 * The words that are one token each in the simulator's tokenizer.
 *
 * @module
 */

import { ENGLISH_WORDS } from "../prompt/english_words.ts";

/**
 * Lower-case words, each once: those that are one token for real models, and further common ones
 * (a real vocabulary is larger than what all models have in common).
 */
export const VOCABULARY_WORDS: readonly string[] = [
  ...ENGLISH_WORDS,
  ...`
a across advance advantage adventure advice afraid afternoon agency agree ahead aircraft alarm
alive am an ancient angry announce annual anybody anyone anything anyway apart apparent appeal
appear approach argue arise army arrange arrive as asleep aspect assume at attack attempt attend
attention audience authority autumn available avoid awake award baby background barn basis basket
bath battle be beach bear beautiful beauty became become bedroom began behavior behind believe
belong belt bend beneath benefit beside beyond billion bite bitter black blade blame blanket blind
blood blow bomb borrow bottle bought bowl brave breakfast breath breathe brick broad brother
brought brown budget burn busy butter by cabin cake calm came camera campaign capable capacity
captain capture career careful carefully carry cattle caught century certain certainly challenge
chance character chase cheap cheese chest chicken chosen church citizen civil classic clay clearly
clever climate climb closely cloth clothes coach coast coat coffee cold college colony color
combine commercial commission committee community completely compound concern condition consist
contain contest continent contrast conversation cook copper corner correctly cottage cotton
council couple courage cow crack crazy creature crime crop crowd crown cry crystal culture curve
daily damage dance dangerous darkness dawn dead dear death debate debt decade decide decision
decline deeply deer defeat defend defense definition deliver demand democracy department depend
desert deserve desire desk despite determine develop development die diet differ difference
different difficult dinner direction directly dirt disappear discover discovery discuss discussion
disease dish distant divide do doing dollar domestic doubt dozen draft drama drawn dream dress
drew dried drink driven drove drug drum dry duck dug during dust duty eager earn ease easier
easily east eastern easy eat economy edition education effective effort eight election electricity
elephant eleven elsewhere emotion empire employ encourage enemy engineer enjoy enough entire
entirely entrance environment equally equipment especially essential establish estate evening
eventually everybody everyone everything everywhere evidence evil exact exactly examine excellent
excited exciting exclaim excuse execute exercise existence expensive experience experiment expert
explain explanation explore expression extend extreme facing failure fairly faith fallen familiar
famous farm farmer farther fashion fastened fat fate fault favor favorite fear feather feel feet
fell fellow fence few fewer fierce fifteen fifth fifty fight finance finest finger finish fire
fireplace firm flame flew floating flood fog football forever forget forgotten formal forty fought
foundation fourth fox freedom freight frequent frequently fresh friendly frighten frog frozen
fruit fuel funny furniture further garage garden gather gave generally generation gentle gently
getting giant gift glad glance globe glory go god goes golden gone govern government grab
gradually grain grandfather grandmother gravity greatest greatly grew grow grown gulf gun habit
handsome happen happened happily happy harbor harder hardly harm harmony hate he hear heard heaven
heavy hello helpful herd heritage herself higher highest highly highway himself hole holiday
hollow honest honor hope horn hotel household however huge hundred hung hungry hunt hunter hurried
hurry hurt husband if illustrate imagine immediately impact importance important impossible
improve in including income increase indeed independent indicate individual industrial industry
infant influence information injury innocent insect instant instrument insurance intend interior
international introduce invent invest investment invite involve is island it itself jacket joint
joke journey judge judgment juice jump jungle jury justice kept kick kid kill kingdom kitchen knee
knew knife knowledge labor laboratory lack ladder lady laid lamp larger largest latter laugh
launch lawyer league least leather leaves lecture lesson liberty lift lighting liquid literature
living locate lonely longer loose lose loud lovely luck lucky lunch machinery mad magazine magic
magnet mainly maintain majority manner manufacture march marriage married massive mathematics
matter me meant meat mechanical medical medicine meet meeting melted mention merely metal might
mighty military milk million mineral minister minute mirror mistake mix mixture monkey mood moon
moral morning motion mountain movement moving mud multiply murder muscle museum musical my myself
mysterious mystery nails narrow naturally nature nearby nearer nearest nearly neat necessary neck
needle needs neighbor neighborhood neither nerve nervous newspaper nine no nobody nodded noise
noon north northern nose noun novel nuclear numeral nurse nuts observe obtain obvious obviously
occasionally occur ocean of officer oil oldest on operate operation opinion opportunity opposite
or orbit ordinary organization organize organized otherwise ourselves outcome outline oxygen paint
painting palace pale paragraph particles particular particularly partly passage passenger peace
pencil penny perfect perfectly performance period permanent permit perspective philosophy
photograph piano pig pile pilot pink pitch planet plastic plates pleasure plenty plural pocket
poem poet poetry police political politics pond pony poor population porch possess pot potatoes
pound powder powerful practical practice presence president prevent pride prince principal
principle prison prize procedure produce production professional professor promise promised proper
properly proposal protect protection proud prove provide publish punch pupil purchase purple
purpose queen quickly quietly quite rabbit railroad railway ranch rapid rapidly rare reach
reaction reality realize rear recall receive recent recently recognize recommend reflect reform
refuse regard relate relationship relatively relief religion religious remain remains remarkable
remind replied represent rescue research responsibility reveal revolution rhyme rhythm riding
rising roar rocket rocky roof rope royal rubbed rubber ruler rush sad saddle safety sail sale
salmon salt sand sang satellites satisfied saved saw scared schedule scheme science scientific
scientist seem seldom selection sell senior sense sentence separate serious settle settlement
settlers seven several severe shade shaking shall shallow sheep shelf shelter shinning shirt shock
shoe shoot shorter shoulder shout shut sick sides sight silence silent silk silly silver simplest
simply sink sister situation slave slept slight slightly slip slipped slope slowly smaller
smallest smell smile smoke smooth snake snow so soap society softly soil solar sold soldier solve
somebody somehow someone something sometime somewhere soul south southern speak speech spell spend
spent spider spirit spite spoke sport spread stared statement statistics stay steam steel steep
stems stepped stiff stomach stopped stove straight strange stranger strategy straw strength stress
stretch strike stronger struck structure struggle stuck studied study studying substance succeed
successful sudden suddenly suffer sugar suggest suit suitable summer sunlight supper supply
suppose sure surprise surrounded survey survive swam sweet swept swim swimming swing swung
syllable taken tales tall tank tape taste taught teach tears technical technique technology teeth
telephone television tell temperature tend tent terrible territory thank theater thee them
themselves theory therefore thick thin thirty thou thought thousand threw throat throughout thrown
tide tie tight tightly till timber tin tired to tobacco together told tomorrow tone tongue tonight
took torn toward tower toy tradition traffic trail transport transportation trap travel treat
treated trend trial tribe trick tried trip troops tropical trouble truck trunk trust truth tune
twelve twenty twice typical uncle underline understand understanding understood unhappy united
universe university unusual up upward us useful valley valuable vapor variety various vast
vegetable vessels victim victory village violence virtue visitor vital vowel voyage wage wagon
want warm warn wash waste we weapon weekend weigh welcome wet whale wheat whenever wherever
whispered whistle whom widely wife wild willing wine winter wish wolf women wonder wonderful
wooden wool wore worried worry worse worst wound wrapped wrote yesterday young younger yours
yourself youth zoo
`.trim().split(/\s+/),
];
